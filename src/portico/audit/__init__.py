"""The journal of calls, its hash chain, its shipping to the database and its verification.

A call's record is one line in the replica's own journal (:mod:`.journal`) before its answer is sent. The
:mod:`.shipper` copies lines to the database and signs how far it got (:mod:`.heads`); :mod:`.read` lists records from
both places, :mod:`.verify` finds what was taken out or changed. Who calls and what became of it is the gateway's to
say; nothing here ever sees arguments or results.
"""
