"""The door to an archive: receive, query and retrieve studies, and send results back. It needs the extra `pacs`."""
