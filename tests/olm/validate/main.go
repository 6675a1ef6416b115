// validate BUNDLE: what the Operator Framework's own validators say of a
// bundle, all that `operator-sdk bundle validate` and `opm` run; fails on an
// error, on a warning that is not listed here with its reason, and on a reason
// that nothing needs any more.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
	interfaces "github.com/operator-framework/api/pkg/validation/interfaces"
	"github.com/operator-framework/operator-registry/pkg/lib/bundle"
	"github.com/sirupsen/logrus"
)

// The largest bundle that we want, compressed, in bytes; OLM takes a MiB.
const mostBytes = 200_000

// Not run: the one for package manifests, a form that no bundle has;
// multiarch, which asks a container engine to fetch published images; and the
// community's, which moved out of the library and asks for OpenShift's labels.
var validators = interfaces.Validators{
	validation.ClusterServiceVersionValidator,
	validation.CustomResourceDefinitionValidator,
	validation.BundleValidator,
	validation.ObjectValidator,
	validation.OperatorGroupValidator,
	validation.OperatorHubV2Validator,
	validation.StandardCapabilitiesValidator,
	validation.StandardCategoriesValidator,
	validation.AlphaDeprecatedAPIsValidator,
	validation.GoodPracticesValidator,
}

// Before the APIs that were removed, in a warning.
const migrate = "Migrate the API(s) for "

// Warnings that stand, each with a part of its words and why.
var accepted = map[string]string{
	`channel(s) ["alpha"] are not following the recommended naming convention`: "" +
		"upstream's package has no other channel, and its Subscriptions name it",
	"CSV contains permissions to create CRD": "" +
		"it may patch the definition of BGPPeers alone, to say who converts them",
	migrate + "endpointslices:": "" +
		"a right names no version of an API; what is read is discovery.k8s.io/v1",
	migrate + "runtimeclasses:": "" +
		"a right names no version of an API; what is read is node.k8s.io/v1",
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: validate BUNDLE")
	}
	findings, size, err := judge(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	used := map[string]bool{}
	bad := 0
	for _, finding := range findings {
		reason := ""
		for words, why := range accepted {
			if strings.HasPrefix(finding, "Warning") && strings.Contains(finding, words) {
				used[words], reason = true, why
			}
		}
		if reason == "" {
			bad++
			fmt.Fprintln(os.Stderr, finding)
		} else {
			fmt.Printf("%s\n  stands: %s\n", finding, reason)
		}
	}
	if len(used) < len(accepted) {
		bad++
		fmt.Fprintln(os.Stderr, "a reason is given for a warning that is not there any more")
	}
	if size == 0 || size > mostBytes {
		bad++
		fmt.Fprintf(os.Stderr, "%d B compressed, at most %d\n", size, mostBytes)
	}
	fmt.Printf("bundle: %d B compressed, at most %d; %d findings without a reason\n", size, mostBytes, bad)
	if bad > 0 {
		os.Exit(1)
	}
}

// What is found, a line each, and the compressed size.
func judge(dir string) ([]string, int64, error) {
	logger := logrus.New()
	logger.SetLevel(logrus.ErrorLevel)
	var findings []string
	opm := bundle.NewImageValidator(nil, logrus.NewEntry(logger))
	if err := opm.ValidateBundleFormat(dir); err != nil {
		findings = append(findings, "Error: format: "+err.Error())
	}
	if err := opm.ValidateBundleContent(filepath.Join(dir, "manifests")); err != nil {
		findings = append(findings, "Error: content: "+err.Error())
	}
	loaded, err := manifests.GetBundleFromDir(dir)
	if err != nil {
		return nil, 0, err
	}
	// What it says itself is what deprecated APIs are looked for in.
	options := map[string]string{"k8s-version": loaded.CSV.Spec.MinKubeVersion}
	objects := append(loaded.ObjectsToValidate(), options)
	for _, result := range validators.Validate(objects...) {
		for _, finding := range append(result.Errors, result.Warnings...) {
			for _, text := range each(finding.Error()) {
				// Two validators look for deprecated APIs.
				if !slices.Contains(findings, text) {
					findings = append(findings, text)
				}
			}
		}
	}
	return findings, loaded.CompressedSize, nil
}

// A finding that names several APIs does so in any order: one for each.
func each(finding string) []string {
	head, apis, found := strings.Cut(finding, migrate)
	if !found {
		return []string{finding}
	}
	var all []string
	for _, api := range strings.SplitAfter(apis, "),") {
		if api != "" {
			all = append(all, head+migrate+api)
		}
	}
	return all
}
