// Package sbom writes the bill of materials of a binary, as CycloneDX 1.6 JSON.
//
// What is linked in is what the binary itself says (debug/buildinfo), so that the
// bill cannot differ from what was built. The same binary and options give the same
// bytes.
package sbom

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/banyanmq/banyan/scripts/pack/notices"
)

// MediaType of a bill.
const MediaType = "application/vnd.cyclonedx+json"

// Options of New.
type Options struct {
	Name, Version string
	Revision      string    // of the source
	Created       time.Time // of that revision
	// Modules are those of the binary, with their licences.
	Modules []notices.Module
	// Data is what is in an image besides the binary.
	Data []Data
}

// Data is a file that is no program.
type Data struct {
	Name, Version, From, SHA256 string
}

// settingsKept are the facts of the build that say which binary this is.
var settingsKept = []string{"GOOS", "GOARCH", "GOARM", "GOARM64", "GOAMD64", "CGO_ENABLED", "-pgo", "-trimpath"}

// New returns the bill of a binary.
func New(binary string, o Options) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("sbom: %s: %w", binary, err)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("sbom: %w", err)
	}
	digest := sha256.Sum256(content)

	program := cdx.Component{
		BOMRef: "program", Type: cdx.ComponentTypeApplication, Name: o.Name, Version: o.Version,
		PackageURL: "pkg:golang/" + info.Main.Path + "@v" + o.Version + "#cmd/" + o.Name,
		Hashes:     sha(hex.EncodeToString(digest[:])),
		Licenses:   licences([]string{"Apache-2.0"}),
		Properties: &[]cdx.Property{{Name: "banyan:revision", Value: o.Revision}, {Name: "banyan:go", Value: info.GoVersion}},
	}
	for _, s := range info.Settings {
		if slices.Contains(settingsKept, s.Key) {
			*program.Properties = append(*program.Properties, cdx.Property{Name: "banyan:build:" + s.Key, Value: s.Value})
		}
	}

	var parts []cdx.Component
	for _, m := range o.Modules {
		version, url := m.Version, "pkg:golang/"+m.Path+"@"+m.Version
		parts = append(parts, cdx.Component{
			BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: version, PackageURL: url, Licenses: licences(m.Licences),
		})
	}
	for _, d := range o.Data {
		parts = append(parts, cdx.Component{
			BOMRef: "data:" + d.Name, Type: cdx.ComponentTypeData, Name: d.Name, Version: d.Version, Description: d.From, Hashes: sha(d.SHA256),
		})
	}
	refs := make([]string, len(parts))
	for i, p := range parts {
		refs[i] = p.BOMRef
	}

	bom := cdx.NewBOM()
	bom.SerialNumber = serial(digest, o)
	bom.Metadata = &cdx.Metadata{Timestamp: o.Created.UTC().Format(time.RFC3339), Component: &program}
	bom.Components = &parts
	bom.Dependencies = &[]cdx.Dependency{{Ref: program.BOMRef, Dependencies: &refs}}
	var out bytes.Buffer
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("sbom: %w", err)
	}
	return out.Bytes(), nil
}

func sha(sum string) *[]cdx.Hash { return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}} }

func licences(ids []string) *cdx.Licenses {
	if len(ids) == 0 {
		return nil
	}
	var l cdx.Licenses
	for _, id := range ids {
		l = append(l, cdx.LicenseChoice{License: &cdx.License{ID: id}})
	}
	return &l
}

// serial is a UUID (version 8) of what the bill is about, in place of a random one.
func serial(digest [32]byte, o Options) string {
	var names strings.Builder
	for _, d := range o.Data {
		names.WriteString(d.Name + " " + d.Version + " " + d.SHA256 + "\n")
	}
	u := sha256.Sum256([]byte(hex.EncodeToString(digest[:]) + "\n" + o.Name + " " + o.Version + " " + o.Revision + "\n" + names.String()))
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
