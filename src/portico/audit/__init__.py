"""The journal of calls, its hash chain, its shipping to the database and its verification."""
