"""What a newcomer's machine lacks, for development only; the service never imports this."""
