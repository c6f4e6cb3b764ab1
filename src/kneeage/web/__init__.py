"""The workstation in the browser: pages, a JSON API, and who may use them."""
