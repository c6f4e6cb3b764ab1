"""What a long-running door needs: lines of work that survive their workers, images, register, audit log, metrics."""
