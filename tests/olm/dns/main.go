// The cluster's name server: CoreDNS with what OLM asks of one, and nothing
// else, so that it builds in seconds.
package main

import (
	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func init() {
	dnsserver.Directives = []string{"errors", "kubernetes"}
	caddy.DefaultConfigFile = "/Corefile"
}

func main() { coremain.Run() }
