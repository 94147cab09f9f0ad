package openapi

// Short forms of schemas for people.

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// fewest is how many values of an enumeration are shown.
const fewest = 6

// sketch writes a schema as a type: {name: string, data: float[4][]}. The objects that it refers to
// follow, once each.
func (b *Builder) sketch(s *Schema) string {
	p := sketcher{b: b}
	if s.Ref != "" {
		s = b.resolve(s.Ref)
	}
	text := p.sketch(s, "")
	// p.named grows in the loop.
	for i := 0; i < len(p.named); i++ {
		text += "\n\n" + shortName(p.named[i]) + " = " + p.sketch(b.resolve(p.named[i]), "")
	}
	return text
}

type sketcher struct {
	b     *Builder
	named []string // references to what follows
}

// sketch writes a schema. indent starts each line after the first.
func (p *sketcher) sketch(s *Schema, indent string) string {
	switch {
	case s.no:
		return "nothing"
	case s.Ref != "":
		target := p.b.resolve(s.Ref)
		if target.Type != "object" {
			return p.sketch(target, indent)
		}
		if !slices.Contains(p.named, s.Ref) {
			p.named = append(p.named, s.Ref)
		}
		return shortName(s.Ref)
	case s.Const != nil:
		return compact(s.Const)
	case s.Enum != nil:
		var values []string
		for _, v := range s.Enum[:min(fewest, len(s.Enum))] {
			values = append(values, compact(v))
		}
		if len(s.Enum) > fewest {
			values = append(values, fmt.Sprintf("… %d in all", len(s.Enum)))
		}
		return strings.Join(values, " | ")
	case s.AnyOf != nil:
		return p.either(s.AnyOf, indent)
	case s.OneOf != nil:
		return p.either(s.OneOf, indent)
	}
	types, ok := s.Type.([]any)
	if !ok {
		types = []any{s.Type}
	}
	var ways []string
	for _, t := range types {
		ways = append(ways, p.sketchType(s, t, indent))
	}
	return strings.Join(ways, " | ")
}

func (p *sketcher) either(schemas []*Schema, indent string) string {
	var ways []string
	for _, s := range schemas {
		if way := p.sketch(s, indent); !slices.Contains(ways, way) {
			ways = append(ways, way)
		}
	}
	return strings.Join(ways, " | ")
}

func (p *sketcher) sketchType(s *Schema, t any, indent string) string {
	switch t {
	case "array":
		if s.PrefixItems != nil {
			var items []string
			for _, item := range s.PrefixItems {
				items = append(items, p.sketch(item, indent))
			}
			return "[" + strings.Join(items, ", ") + "]"
		}
		item := p.sketch(s.Items, indent)
		if strings.Contains(item, " | ") && !strings.HasSuffix(item, "}") {
			item = "(" + item + ")"
		}
		if s.MinItems != nil && s.MaxItems != nil && *s.MinItems == *s.MaxItems {
			return fmt.Sprintf("%s[%d]", item, *s.MinItems)
		}
		return item + "[]"
	case "object":
		return p.sketchObject(s, indent)
	case "string":
		switch {
		case s.ContentEncoding != "":
			return s.ContentEncoding + " string"
		case s.Format == "binary":
			return "file"
		}
	case "integer", "number":
		if s.Format != "" {
			return s.Format
		}
	case nil:
		if s.ContentMediaType != "" {
			return "bytes"
		}
		return "anything"
	}
	return fmt.Sprint(t)
}

func (p *sketcher) sketchObject(s *Schema, indent string) string {
	var lines []string
	for _, field := range s.Properties {
		if field.Value.no {
			continue // it is optional
		}
		mark := ""
		if !slices.Contains(s.Required, field.Name) {
			mark = "?"
		}
		line := field.Name + mark + ": " + p.sketch(field.Value, indent+"  ")
		if d := field.Value.Description; d != "" {
			line += "  // " + d
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		return "{}"
	}
	if one := "{" + strings.Join(lines, ", ") + "}"; len(one) < 60 && !strings.ContainsAny(one, "\n/") {
		return one
	}
	return "{\n" + indent + "  " + strings.Join(lines, "\n"+indent+"  ") + "\n" + indent + "}"
}

// shortName returns a component's name without the model's.
func shortName(ref string) string {
	return ref[strings.LastIndexAny(ref, "/.")+1:]
}

func (b *Builder) resolve(ref string) *Schema {
	for _, f := range b.doc.Components.Schemas {
		if strings.HasSuffix(ref, "/"+f.Name) {
			return f.Value
		}
	}
	return &Schema{}
}

func compact(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}
