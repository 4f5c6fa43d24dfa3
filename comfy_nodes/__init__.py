"""ComfyUI nodes over `bp_core`; the host's own modules are imported where they are used."""
