// Whether our definitions may take the place of upstream's, by the rules of OLM v1: those of
// crdify, configured as operator-controller does (a change that no rule knows is no safe one,
// words and new values of enums aside).
//
// Reads our definitions as one YAML stream from standard input. Upstream's are in its Go module.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/crdify/pkg/config"
	"sigs.k8s.io/crdify/pkg/runner"
	"sigs.k8s.io/crdify/pkg/validations"
	"sigs.k8s.io/crdify/pkg/validations/property"
	"sigs.k8s.io/yaml"
)

// The releases that people come from, the one to be measured by last.
var releases = []string{"v0.15.2", "v0.16.1"}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	stream, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	ours := map[string]*apiextensionsv1.CustomResourceDefinition{}
	for _, document := range bytes.Split(stream, []byte("\n---")) {
		// What follows the dashes on their line is the file's name.
		if _, text, found := bytes.Cut(document, []byte("\n")); found {
			crd, err := parse(text)
			if err != nil {
				return err
			}
			ours[crd.Name] = crd
		}
	}
	checks, err := olm()
	if err != nil {
		return err
	}
	latest, err := upstream(releases[len(releases)-1])
	if err != nil {
		return err
	}
	unsafe := 0
	for _, release := range releases {
		theirs, err := upstream(release)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(theirs)) {
			if ours[name] == nil {
				return fmt.Errorf("%s of %s is not among ours", name, release)
			}
			found := findings(checks.Run(theirs[name], ours[name]))
			// What upstream changed itself on the way to its latest release is not ours to undo.
			known := findings(checks.Run(theirs[name], latest[name]))
			verdict := "safe"
			if len(known) > 0 {
				verdict = fmt.Sprintf("safe, but for %d changes of upstream's own since", len(known))
			}
			for _, where := range slices.Sorted(maps.Keys(found)) {
				if _, both := known[where]; !both {
					verdict = "NOT SAFE"
					fmt.Printf("%s: %s\n", where, found[where])
					unsafe++
				}
			}
			fmt.Printf("%s %-35s %s\n", release, name, verdict)
		}
	}
	if unsafe > 0 {
		return fmt.Errorf("%d changes are not safe", unsafe)
	}
	return nil
}

func olm() (*runner.Runner, error) {
	return runner.New(&config.Config{
		Conversion:           config.ConversionPolicyIgnore,
		UnhandledEnforcement: config.EnforcementPolicyError,
		Validations: []config.ValidationConfig{
			{Name: "description", Enforcement: config.EnforcementPolicyNone},
			{
				Name:          "enum",
				Enforcement:   config.EnforcementPolicyError,
				Configuration: map[string]any{"additionPolicy": property.AdditionPolicyAllow},
			},
		},
	}, runner.DefaultRegistry())
}

// What speaks against a change, by the property and the check that say so.
func findings(results *runner.Results) map[string]string {
	found := map[string]string{}
	add := func(where string, results []validations.ComparisonResult) {
		for _, result := range results {
			if len(result.Errors) > 0 {
				found[where+" "+result.Name] = strings.Join(result.Errors, "; ")
			}
		}
	}
	add("definition", results.CRDValidation)
	for _, versions := range []map[string]map[string][]validations.ComparisonResult{
		results.SameVersionValidation,
		results.ServedVersionValidation,
	} {
		for version, properties := range versions {
			for property, results := range properties {
				add(version+" "+property, results)
			}
		}
	}
	return found
}

// The definitions of a release of upstream, by name.
func upstream(release string) (map[string]*apiextensionsv1.CustomResourceDefinition, error) {
	command := exec.Command("go", "mod", "download", "-json", "go.universe.tf/metallb@"+release)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go mod download of MetalLB %s: %w: %s", release, err, output)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(output, &module); err != nil {
		return nil, err
	}
	paths, err := fs.Glob(os.DirFS(module.Dir), "config/crd/bases/*.yaml")
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, errors.New("no definitions in " + module.Dir)
	}
	all := map[string]*apiextensionsv1.CustomResourceDefinition{}
	for _, path := range paths {
		text, err := os.ReadFile(filepath.Join(module.Dir, path))
		if err != nil {
			return nil, err
		}
		crd, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all[crd.Name] = crd
	}
	return all, nil
}

func parse(text []byte) (*apiextensionsv1.CustomResourceDefinition, error) {
	crd := new(apiextensionsv1.CustomResourceDefinition)
	return crd, yaml.UnmarshalStrict(text, crd)
}
