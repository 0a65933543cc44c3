"""Moving a configuration between Portico and an AgentCore endpoint: AWS's, or another Portico's.

Owns everything that speaks through boto3, an optional dependency (``portico[aws]``, docs/adr/0017); what documents
mean on either side is :mod:`portico.control.aws_documents`' to know.
"""
