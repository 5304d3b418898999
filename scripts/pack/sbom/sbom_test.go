package sbom

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/banyanmq/banyan/scripts/pack/notices"
	"github.com/banyanmq/banyan/scripts/pack/packtest"
)

func TestBillIsWhatTheBinarySays(t *testing.T) {
	exe := packtest.Binary(t)
	modules, err := notices.Of(exe, packtest.Sources(t))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Name: "hubd", Version: "1.2.3", Revision: "abc", Created: time.Unix(1_700_000_000, 0), Modules: modules,
		Data: []Data{{Name: "tzdata", Version: "go1.26", From: "Go", SHA256: strings.Repeat("0", 64)}},
	}
	first, err := New(exe, o)
	if err != nil {
		t.Fatal(err)
	}
	second, err := New(exe, o)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("two bills of the same binary differ (%v)", err)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(first), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if bom.SpecVersion != cdx.SpecVersion1_6 || bom.Metadata.Component.Name != "hubd" || bom.Metadata.Component.Version != "1.2.3" || bom.Metadata.Timestamp != "2023-11-14T22:13:20Z" {
		t.Errorf("%v %+v", bom.SpecVersion, bom.Metadata)
	}
	have := map[string]string{}
	for _, c := range *bom.Components {
		have[c.Name] = c.Version
		if c.Type == cdx.ComponentTypeLibrary && (c.Licenses == nil || len(*c.Licenses) == 0) {
			t.Errorf("%s without a licence", c.Name)
		}
	}
	info, err := buildinfo.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) == 0 || len(have) != len(info.Deps)+2 {
		t.Errorf("%d components; the binary has %d modules, the standard library and one file come on top", len(have), len(info.Deps))
	}
	for _, d := range info.Deps {
		if have[d.Path] != d.Version {
			t.Errorf("%s %s is %q in the bill", d.Path, d.Version, have[d.Path])
		}
	}
	if "go"+have["std"] != strings.Fields(info.GoVersion)[0] {
		t.Errorf("std is %q, built with %s", have["std"], info.GoVersion)
	}
	o.Version = "1.2.4"
	if other, err := New(exe, o); err != nil || bytes.Equal(first, other) || strings.Contains(string(other), bom.SerialNumber) {
		t.Error("another version has the same serial number")
	}
}

func TestNoBinary(t *testing.T) {
	if _, err := New(os.DevNull, Options{}); err == nil {
		t.Error("a bill of nothing")
	}
}
