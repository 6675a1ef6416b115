// The whole of Kubernetes in one program, for the test cluster: the first
// argument picks the server or tool, the rest is its own command line.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"sort"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var programs = map[string]func(){
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"kube-apiserver":          command(apiserver.NewAPIServerCommand),
	"kube-controller-manager": command(controllermanager.NewControllerManagerCommand),
	"kube-scheduler":          command(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kube-proxy":              command(proxy.NewProxyCommand),
	"kubelet":                 command(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"kubectl":                 command(func() *cobra.Command { return kubectl.NewDefaultKubectlCommand() }),
	"forward":                 forward,
	"registry":                serveRegistry,
	"push":                    push,
}

func main() {
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		var names []string
		for name := range programs {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Fprintf(os.Stderr, "usage: kube %s ARGUMENTS\n", strings.Join(names, "|"))
		os.Exit(2)
	}
	run := programs[os.Args[1]]
	os.Args = os.Args[1:]
	run()
}

func command(build func() *cobra.Command) func() {
	return func() { os.Exit(cli.Run(build())) }
}

// registry ADDRESS DIRECTORY: an OCI registry over plain HTTP; blobs on disk,
// manifests in memory.
func serveRegistry() {
	if len(os.Args) != 3 {
		log.Fatal("usage: kube registry ADDRESS DIRECTORY")
	}
	handler := registry.New(
		registry.Logger(log.New(os.Stderr, "", log.LstdFlags)),
		registry.WithBlobHandler(registry.NewDiskBlobHandler(os.Args[2])),
	)
	log.Fatal(http.ListenAndServe(os.Args[1], handler))
}
