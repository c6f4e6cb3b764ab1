"""One module per step of the register's schema."""
