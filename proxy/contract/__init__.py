"""The control API, a page for each subject: the shapes proxy and console both speak.

Paths begin with `/api/v1`, bodies are JSON.
Ids are ``J-1 P-1 A-1`` here and integers in tables. Times are RFC 3339 in UTC. Requests refuse
unknown fields; answers may grow new ones, so readers ignore what they do not know. Knows nothing of
any room.
"""
