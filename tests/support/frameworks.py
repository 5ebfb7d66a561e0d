"""Small apps of other people's frameworks, as their tutorials write them, and how each is started.

Installed into a scratch environment of their own: nothing here is a dependency of ours.
``SELFHEAL_FRAMEWORKS`` names a folder that is kept between runs.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.clients import program
from tests.support.sidecar import ask, free_port, until

INSTALL_TIMEOUT_S = 600.0
PYTHON_PACKAGES = ("flask", "fastapi", "uvicorn", "django", "sentry-sdk")
NODE_PACKAGES = ("express", "@sentry/node", "@sentry/browser", "esbuild")

FLASK = """
import sqlite3, sys
from flask import Flask, jsonify, request
app = Flask(__name__)

@app.get("/")
def home():
    return "hello"

@app.get("/boom")
def boom():
    return {"total": {}["total"]}

@app.get("/db")
def db():
    return sqlite3.connect(":memory:").execute("select * from orders").fetchall()

@app.post("/validate")
def validate():
    return jsonify(errors={"quantity": ["Must be greater than or equal to 1."]}), 422

@app.post("/login")
def login():
    return jsonify(error="Invalid email or password"), 401

app.run(port=int(sys.argv[1]), debug=True, use_reloader=False)
"""

FASTAPI = """
import sqlite3, sys
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field
app = FastAPI(debug=True)

class Order(BaseModel):
    quantity: int = Field(ge=1)

@app.get("/")
def home():
    return "hello"

@app.get("/boom")
def boom():
    return {"total": {}["total"]}

@app.get("/db")
def db():
    return sqlite3.connect(":memory:").execute("select * from orders").fetchall()

@app.post("/validate")
def validate(order: Order):
    return order

@app.post("/login")
def login():
    raise HTTPException(401, "Incorrect username or password")

uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
"""

DJANGO = """
import sys
from django.conf import settings
settings.configure(
    DEBUG=True, SECRET_KEY="a", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
import django
django.setup()
from django.core.management import execute_from_command_line
from django.db import connection
from django.http import HttpResponse, JsonResponse
from django.urls import path

def home(request):
    return HttpResponse("hello")

def boom(request):
    return JsonResponse({"total": {}["total"]})

def db(request):
    with connection.cursor() as cursor:
        cursor.execute("select * from orders")

def validate(request):
    said = "Ensure this value is greater than or equal to 1."
    return JsonResponse({"quantity": [said]}, status=400)

def login(request):
    return JsonResponse({"detail": "Invalid username/password."}, status=401)

from django.views.decorators.csrf import csrf_exempt
urlpatterns = [path("", home), path("boom", boom), path("db", db),
               path("validate", csrf_exempt(validate)), path("login", csrf_exempt(login))]
execute_from_command_line(["app", "runserver", "--noreload", "--nothreading", sys.argv[1]])
"""

EXPRESS = """
const express = require('express');
const app = express();
app.use(express.json());
app.get('/', (req, res) => res.send('hello'));
app.get('/boom', (req, res) => { const order = undefined; res.json(order.total); });
app.get('/db', (req, res, next) => {
  const error = new Error('relation "orders" does not exist');
  error.code = '42P01'; error.severity = 'ERROR'; next(error);
});
app.post('/validate', (req, res) => res.status(400).json({ errors: [
  { type: 'field', msg: 'Invalid value', path: 'quantity', location: 'body' }] }));
app.post('/login', (req, res) => res.status(401).json({ message: 'Invalid credentials' }));
app.listen(Number(process.argv[2]), '127.0.0.1');
"""


@dataclass(frozen=True)
class Toolbox:
    """``python`` of a virtual environment with the frameworks, and a folder with node_modules."""

    python: str
    node_dir: Path


def install(folder: Path) -> Toolbox:
    """What is not there yet, by pip and npm."""
    python, node_dir = folder / "apps" / "bin" / "python", folder / "node"
    if not python.exists():
        _run(sys.executable, "-m", "venv", str(folder / "apps"))
        _run(str(python), "-m", "pip", "install", "-q", *PYTHON_PACKAGES)
    if not (node_dir / "node_modules").exists():
        node_dir.mkdir(parents=True, exist_ok=True)
        (node_dir / "package.json").write_text('{"private": true}')
        _run(program("npm", "npm"), "install", "--silent", *NODE_PACKAGES, cwd=node_dir)
    return Toolbox(str(python), node_dir)


def _run(*words: str, cwd: Path | None = None) -> None:
    subprocess.run(words, cwd=cwd, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S)


@contextlib.contextmanager
def running(tools: Toolbox, name: str, folder: Path) -> Iterator[str]:
    """That app on a port of its own, as its URL."""
    port = free_port()
    if name == "express":
        file = tools.node_dir / "app.cjs"
        file.write_text(EXPRESS)
        words = [program("node", "nodejs"), str(file), str(port)]
    else:
        file = folder / f"{name}_app.py"
        file.write_text({"flask": FLASK, "fastapi": FASTAPI, "django": DJANGO}[name])
        words = [tools.python, str(file), str(port)]
    log = (folder / f"{name}.log").open("wb")
    process = subprocess.Popen(words, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]})
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: ask(url, "/").status == 200, what=name, timeout_s=60)
        yield url
    finally:
        process.kill()
        process.wait()
        log.close()
