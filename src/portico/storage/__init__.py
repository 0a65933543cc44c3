"""What must not be lost: schema, migrations and one module per aggregate, on SQLAlchemy Core.

SQLite and PostgreSQL, with the same statements for both and no interface in front: functions take a connection, so
that a use case decides what is one transaction. Times are integer seconds since the epoch unless a name says
otherwise.
"""
