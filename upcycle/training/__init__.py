"""The FSDP trainer of the four stages."""
