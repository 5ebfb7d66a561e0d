"""The demo:

a faulty app with its own git history and database, its visitors, and the whole story.
"""
