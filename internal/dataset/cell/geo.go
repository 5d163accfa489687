package cell

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// compileGeojson checks the form only: an object of JSON whose type is one of GeoJSON's, or TopoJSON's.
func compileGeojson(f contract.Field) (func([]byte) bool, error) {
	types := []string{
		"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection",
		"Feature", "FeatureCollection",
	}
	switch f.Format {
	case "", "default":
	case "topojson":
		types = append(types, "Topology")
	default:
		return nil, fmt.Errorf("field %q: unknown format %q: use default or topojson", f.Name, f.Format)
	}
	return func(b []byte) bool {
		var head struct {
			Type string `json:"type"`
		}
		return json.Unmarshal(b, &head) == nil && slices.Contains(types, head.Type)
	}, nil
}

func compileGeopoint(f contract.Field) (func([]byte) bool, error) {
	switch f.Format {
	case "", "default":
		return func(b []byte) bool {
			lon, lat, ok := bytes.Cut(b, []byte(","))
			return ok && isDegree(trim(lon), 180) && isDegree(trim(lat), 90)
		}, nil
	case "array":
		return func(b []byte) bool {
			var pair []json.Number
			return json.Unmarshal(b, &pair) == nil && len(pair) == 2 && isPoint(pair[0], pair[1])
		}, nil
	case "object":
		return func(b []byte) bool {
			var point map[string]json.Number
			return json.Unmarshal(b, &point) == nil && len(point) == 2 && isPoint(point["lon"], point["lat"])
		}, nil
	}
	return nil, fmt.Errorf("field %q: unknown format %q: use default, array or object", f.Name, f.Format)
}

func isPoint(lon, lat json.Number) bool {
	return isDegree([]byte(lon), 180) && isDegree([]byte(lat), 90)
}

func isDegree(b []byte, limit float64) bool {
	v, ok := ParseFloat(b)
	return ok && -limit <= v && v <= limit
}

// Elements counts what minLength and maxLength bound: characters of a text, items of an array, members of an object.
func (p *Parser) Elements(b []byte) int {
	switch p.typ {
	case contract.TypeArray:
		var items []json.RawMessage
		if json.Unmarshal(b, &items) == nil {
			return len(items)
		}
	case contract.TypeObject:
		var members map[string]json.RawMessage
		if json.Unmarshal(b, &members) == nil {
			return len(members)
		}
	default:
	}
	return runes(b)
}

// runes of UTF-8 text: its bytes that don't continue one.
func runes(b []byte) int {
	n := 0
	for _, c := range b {
		if c&0xC0 != 0x80 {
			n++
		}
	}
	return n
}
