"""Who calls the API: `Authorization: Bearer <key>`."""
