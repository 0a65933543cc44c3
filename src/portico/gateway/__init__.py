"""AgentCore Gateway's data plane: pipeline (read it first), snapshot, catalog, sessions, endpoint."""
