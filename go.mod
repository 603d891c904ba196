module github.com/lastevent/sse

go 1.25.0

require (
	github.com/gorilla/securecookie v1.1.2
	github.com/stretchr/testify v1.12.1
	go.etcd.io/bbolt v1.5.0
	golang.org/x/sys v0.45.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect
