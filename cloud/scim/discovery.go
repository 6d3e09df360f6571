package scim

import (
	"net/http"
	"slices"
	"strings"
)

// discovery serves what a client may ask about the service: RFC 7644 §4.
func (c *call) discovery(seg []string) error {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return c.notAllowed("GET")
	}
	if _, filtered := c.params["filter"]; filtered {
		return refuse(http.StatusForbidden, "", "%s cannot be filtered", seg[0])
	}
	switch seg[0] {
	case "ServiceProviderConfig":
		return c.send(http.StatusOK, c.providerConfig())
	case "Schemas":
		var all []any
		for _, rt := range c.types() {
			for _, s := range rt.schemas() {
				if len(seg) == 2 && strings.EqualFold(seg[1], s.ID) {
					return c.send(http.StatusOK, c.schema(s))
				}
				all = append(all, c.schema(s))
			}
		}
		if len(seg) == 1 {
			return c.list(all, len(all), 1)
		}
	case "ResourceTypes":
		var all []any
		for _, rt := range c.types() {
			if len(seg) == 2 && strings.EqualFold(seg[1], rt.name) {
				return c.send(http.StatusOK, c.resourceType(rt))
			}
			all = append(all, c.resourceType(rt))
		}
		if len(seg) == 1 {
			return c.list(all, len(all), 1)
		}
	}
	return refuse(http.StatusNotFound, "", "no such resource: %s", clip(c.r.URL.Path))
}

// types are the resource types as the caller is told of them. The RFC's own
// schema of Group has no name in a member, so strict callers see none.
func (c *call) types() []*resourceType {
	group := c.h.group
	if c.strict() {
		group = groupType()
		members := find(group.core.Attributes, "members")
		members.SubAttributes = slices.DeleteFunc(members.SubAttributes, func(a attribute) bool { return a.Name == "display" })
	}
	return []*resourceType{c.h.user, group}
}

func (c *call) schema(s schema) map[string]any {
	return map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Schema"},
		"id":      s.ID, "name": s.Name, "description": s.Description, "attributes": s.Attributes,
		"meta": map[string]any{"resourceType": "Schema", "location": c.base + "/Schemas/" + s.ID},
	}
}

func (c *call) resourceType(rt *resourceType) map[string]any {
	extensions := []any{}
	for _, s := range rt.ext {
		extensions = append(extensions, map[string]any{"schema": s.ID, "required": false})
	}
	return map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"},
		"id":      rt.name, "name": rt.name, "description": rt.core.Description, "endpoint": rt.endpoint,
		"schema": rt.core.ID, "schemaExtensions": extensions,
		"meta": map[string]any{"resourceType": "ResourceType", "location": c.base + "/ResourceTypes/" + rt.name},
	}
}

func (c *call) providerConfig() map[string]any {
	supported := func(yes bool) map[string]any { return map[string]any{"supported": yes} }
	return map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
		"patch":   supported(true),
		"bulk":    map[string]any{"supported": true, "maxOperations": maxBulk, "maxPayloadSize": c.h.maxBody},
		"filter":  map[string]any{"supported": true, "maxResults": maxCount},
		"sort":    supported(true), "etag": supported(true), "changePassword": supported(false),
		"authenticationSchemes": []any{map[string]any{
			"type": "oauthbearertoken", "name": "Bearer token", "primary": true,
			"description": "The SCIM token that the organisation's owner makes, as Authorization: Bearer.",
		}},
		"meta": map[string]any{"resourceType": "ServiceProviderConfig", "location": c.base + "/ServiceProviderConfig"},
	}
}
