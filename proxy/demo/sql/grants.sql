revoke all on database demo from public;
grant connect on database demo to shop;
