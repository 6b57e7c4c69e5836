module carbon/go-kernel

go 1.24

require github.com/traefik/yaegi v0.16.1
