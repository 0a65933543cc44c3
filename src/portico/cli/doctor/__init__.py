"""``portico doctor``: walks the path that a client would walk to a server, ours or not, and says where and why it ends.

Rules and walking are apart: ``judge_*`` turn answers into facts or into a fault (pure); ``walk`` has the order of the
steps, which stand in ``discovery``, ``authorization`` and ``conversation`` and share a ``journey``; ``http`` sends and
records, ``masking`` keeps secrets out of what is shown, ``show`` prints. What the clients do differently is one table,
``profiles``; what can be wrong is another, ``faults``, whose page is ``docs/doctor.md``, and a ``finding`` is one of
them as it was met.
"""
