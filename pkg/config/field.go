package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// setField stores v at a Go path such as "Client.TLS.Certificates[0].CertFile"
// below target, a pointer to a struct. Pointers and slices on the way are made
// as needed. The table's paths are checked by a test, so a wrong one panics.
func setField(target any, path string, v any) {
	f := fieldOf(reflect.ValueOf(target).Elem(), path)
	rv := reflect.ValueOf(v)
	if !rv.IsValid() {
		f.SetZero()
		return
	}
	if rv.Type() != f.Type() && rv.CanConvert(f.Type()) {
		rv = rv.Convert(f.Type())
	}
	f.Set(rv)
}

// fieldOf finds the field at a path, which must exist; nil pointers on the way
// are made.
func fieldOf(v reflect.Value, path string) reflect.Value {
	for _, name := range strings.Split(path, ".") {
		name, index, indexed := strings.Cut(strings.TrimSuffix(name, "]"), "[")
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		f := v.FieldByName(name)
		if !f.IsValid() {
			panic(fmt.Sprintf("config: no field %q in %v", name, v.Type()))
		}
		v = f
		if indexed {
			i, err := strconv.Atoi(index)
			if err != nil {
				panic(fmt.Sprintf("config: bad index in %q", path))
			}
			for v.Len() <= i {
				v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			}
			v = v.Index(i)
		}
	}
	return v
}

// gates are the prefixes of a field path that are pointers in Config: blocks
// that exist only when the settings mention them.
func gates(path string) []string { return pointersOn(reflect.TypeFor[Config](), path) }

// blockOf is the innermost pointer that a field is behind, "" for none.
func blockOf(target any, path string) string {
	found := pointersOn(reflect.TypeOf(target).Elem(), path)
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

// pointersOn are the prefixes of a path that are pointers to structs.
func pointersOn(t reflect.Type, path string) []string {
	var found []string
	parts := strings.Split(path, ".")
	for i, name := range parts {
		name, _, indexed := strings.Cut(name, "[")
		f, ok := t.FieldByName(name)
		if !ok {
			panic(fmt.Sprintf("config: no field %q in %v", name, t))
		}
		t = f.Type
		if indexed {
			t = t.Elem()
		}
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
			if t.Kind() == reflect.Struct {
				found = append(found, strings.Join(parts[:i+1], "."))
			}
		}
		if t.Kind() != reflect.Struct {
			break
		}
	}
	return found
}

// touch makes the pointer at a path point to something.
func touch(target any, path string) {
	f := fieldOf(reflect.ValueOf(target).Elem(), path)
	if f.Kind() == reflect.Pointer && f.IsNil() {
		f.Set(reflect.New(f.Type().Elem()))
	}
}
