"""What must not be lost: schema, migrations and one module per aggregate, on SQLAlchemy Core.

SQLite now, PostgreSQL beside it next; no interface in front. Functions take a connection, so that a use case
decides what is one transaction. Times are integer seconds since the epoch unless a name says otherwise.
"""
