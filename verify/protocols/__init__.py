"""What no program of the images says for a check: TLS's own word on a certificate, HTTP, and VNC's greeting."""
