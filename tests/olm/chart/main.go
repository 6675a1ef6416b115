// chart IMAGE: OLM's own chart of the release in go.mod, with every image
// replaced by IMAGE, as one YAML stream; without the catalogue that is
// fetched from the internet.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: chart IMAGE")
	}
	if err := print(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func print(image string) error {
	deploy, err := directory("github.com/operator-framework/operator-lifecycle-manager")
	if err != nil {
		return err
	}
	chart, err := loader.Load(filepath.Join(deploy, "deploy/chart"))
	if err != nil {
		return err
	}
	values, err := chartutil.ReadValuesFile(filepath.Join(deploy, "deploy/upstream/values.yaml"))
	if err != nil {
		return err
	}
	program := map[string]any{"ref": image, "pullPolicy": "IfNotPresent"}
	ours := map[string]any{
		"olm": map[string]any{
			"image": program,
			// While a version takes the place of another it puts the old one back
			// into its own queue at once, again and again, and all nodes share
			// the processors of one machine.
			"resources": map[string]any{"limits": map[string]any{"cpu": "500m"}},
		},
		"catalog": map[string]any{
			"image":        program,
			"commandArgs":  "--configmapServerImage=" + image,
			"opmImageArgs": "--opmImage=" + image,
		},
		"package": map[string]any{"image": program, "replicaCount": 1},
	}
	merged := chartutil.CoalesceTables(ours, values)
	render, err := chartutil.ToRenderValues(chart, merged, chartutil.ReleaseOptions{Name: "olm"}, nil)
	if err != nil {
		return err
	}
	files, err := engine.Render(chart, render)
	if err != nil {
		return err
	}
	for _, crd := range chart.CRDObjects() {
		fmt.Printf("---\n%s\n", crd.File.Data)
	}
	var names []string
	for name := range files {
		isManifest := filepath.Ext(name) == ".yaml" && !strings.HasPrefix(filepath.Base(name), "_")
		if isManifest && !strings.Contains(name, "upstream-operators.catalogsource") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		if text := strings.TrimSpace(files[name]); text != "" {
			fmt.Printf("---\n%s\n", text)
		}
	}
	return nil
}

func directory(module string) (string, error) {
	command := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
	command.Stderr = os.Stderr
	output, err := command.Output()
	return string(bytes.TrimSpace(output)), err
}
