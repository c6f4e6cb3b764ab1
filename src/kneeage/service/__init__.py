"""What a long-running door needs: a queue that survives its workers, a spool of images, logs, metrics, workers."""
