"""The founder's rules and thresholds: the newest version, and a new one."""

from proxy.api.call import Call
from proxy.api.present import control_view
from proxy.api.table import FOUNDER, PEOPLE, Route
from proxy.contract.control import ControlRequest, ControlView
from proxy.founder.control import ControlRules, parse_rules
from proxy.store import control as control_store


async def get_control(call: Call) -> ControlView:
    """Version 0 means: nobody has written a rule yet."""
    async with call.reading() as conn:
        stored = await control_store.get_control(conn)
    if stored is not None:
        return control_view(stored)
    return ControlView(
        version=0,
        rules=ControlRules().model_dump(mode="json", exclude_none=True),
        changed_by="default",
        changed_at=call.deps.clock.now(),
    )


async def put_control(call: Call) -> ControlView:
    """Whole or not at all: rules that do not parse are 422, another version in between is 409."""
    body = call.body(ControlRequest)
    rules = parse_rules({**body.rules, "imported_sha256": None})
    async with call.deed() as conn:
        stored = await control_store.get_control(conn)
        # what the file was when it was last imported stays known, so that it is not imported again
        imported = None if stored is None else stored.rules.get("imported_sha256")
        made = await control_store.put_control(
            conn,
            rules.model_copy(update={"imported_sha256": imported}).model_dump(
                mode="json", exclude_none=True
            ),
            based_on=body.based_on,
            reason=body.reason,
        )
    call.deps.wake()
    return control_view(made)


ROUTES = (
    Route("GET", "/control", get_control, "The founder's rules in force.", PEOPLE, ControlView),
    Route(
        "PUT",
        "/control",
        put_control,
        "A new version of the founder's rules.",
        FOUNDER,
        ControlView,
        ControlRequest,
        problems=(409,),
    ),
)
