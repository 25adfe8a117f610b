package istio

import (
	"fmt"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	httprbac "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	networkrbac "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"strings"
)

// connection is what Istio's own authorization may judge before a request is read.
type connection struct {
	port uint32 // of the workload
	peer string // the SPIFFE ID in its certificate
}

// rules are those of an authorization filter, and nil for any other.
func rules(typed *anypb.Any) *rbacv3.RBAC {
	switch message := unpacked(typed).(type) {
	case *networkrbac.RBAC:
		return message.Rules
	case *httprbac.RBAC:
		return message.Rules
	}
	return nil
}

// admits tells whether all of these filters let a connection through; what this code can't read it does not guess.
func (c connection) admits(filters []*rbacv3.RBAC) (bool, error) {
	for _, filter := range filters {
		matched, err := c.matchesAny(filter)
		if err != nil {
			return false, err
		}
		if matched != (filter.Action == rbacv3.RBAC_ALLOW) {
			return false, nil
		}
	}
	return true, nil
}

func (c connection) matchesAny(filter *rbacv3.RBAC) (bool, error) {
	for _, policy := range filter.Policies {
		permitted, err := anyOf(policy.Permissions, c.holds)
		if err != nil || !permitted {
			if err != nil {
				return false, err
			}
			continue
		}
		named, err := anyOf(policy.Principals, c.is)
		if err != nil || named {
			return named, err
		}
	}
	return false, nil
}

func (c connection) holds(permission *rbacv3.Permission) (bool, error) {
	switch rule := permission.Rule.(type) {
	case *rbacv3.Permission_Any:
		return rule.Any, nil
	case *rbacv3.Permission_AndRules:
		return allOf(rule.AndRules.Rules, c.holds)
	case *rbacv3.Permission_OrRules:
		return anyOf(rule.OrRules.Rules, c.holds)
	case *rbacv3.Permission_NotRule:
		held, err := c.holds(rule.NotRule)
		return !held, err
	case *rbacv3.Permission_DestinationPort:
		return rule.DestinationPort == c.port, nil
	case *rbacv3.Permission_Header:
		return rule.Header.Name == ":method" && rule.Header.GetPresentMatch(), nil // only a request is asked this
	case *rbacv3.Permission_UrlPath:
		return text(rule.UrlPath.GetPath(), "/")
	}
	return false, fmt.Errorf("a permission by %T", permission.Rule)
}

// portsIn are those that permissions name, whether they allow or except them.
func portsIn(permissions []*rbacv3.Permission) []uint32 {
	var found []uint32
	for _, permission := range permissions {
		switch rule := permission.Rule.(type) {
		case *rbacv3.Permission_AndRules:
			found = append(found, portsIn(rule.AndRules.Rules)...)
		case *rbacv3.Permission_OrRules:
			found = append(found, portsIn(rule.OrRules.Rules)...)
		case *rbacv3.Permission_NotRule:
			found = append(found, portsIn([]*rbacv3.Permission{rule.NotRule})...)
		case *rbacv3.Permission_DestinationPort:
			found = append(found, rule.DestinationPort)
		}
	}
	return found
}

func (c connection) is(principal *rbacv3.Principal) (bool, error) {
	switch of := principal.Identifier.(type) {
	case *rbacv3.Principal_Any:
		return of.Any, nil
	case *rbacv3.Principal_AndIds:
		return allOf(of.AndIds.Ids, c.is)
	case *rbacv3.Principal_OrIds:
		return anyOf(of.OrIds.Ids, c.is)
	case *rbacv3.Principal_NotId:
		named, err := c.is(of.NotId)
		return !named, err
	case *rbacv3.Principal_Authenticated_:
		return text(of.Authenticated.PrincipalName, c.peer)
	case *rbacv3.Principal_FilterState:
		return text(of.FilterState.GetStringMatch(), c.peer)
	}
	return false, fmt.Errorf("a principal by %T", principal.Identifier)
}

func text(matcher *matcherv3.StringMatcher, value string) (bool, error) {
	switch pattern := matcher.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return pattern.Exact == value, nil
	case *matcherv3.StringMatcher_Prefix:
		return strings.HasPrefix(value, pattern.Prefix), nil
	}
	return false, fmt.Errorf("a name by %T", matcher.GetMatchPattern())
}

func allOf[T any](of []T, holds func(T) (bool, error)) (bool, error) {
	for _, one := range of {
		if held, err := holds(one); err != nil || !held {
			return false, err
		}
	}
	return true, nil
}

func anyOf[T any](of []T, holds func(T) (bool, error)) (bool, error) {
	for _, one := range of {
		if held, err := holds(one); err != nil || held {
			return held, err
		}
	}
	return false, nil
}
