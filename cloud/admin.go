package cloud

import (
	"context"
	"errors"

	"latchkey/access"
)

func (s *Service) CreateOrg(ctx context.Context, by Actor, o Org) (Org, error) {
	return Org{}, errors.ErrUnsupported
}

func (s *Service) Org(ctx context.Context, id string) (Org, error) {
	return Org{}, errors.ErrUnsupported
}

func (s *Service) Orgs(ctx context.Context) ([]Org, error) { return nil, errors.ErrUnsupported }

func (s *Service) PatchOrg(ctx context.Context, by Actor, id string, p OrgPatch) (Org, error) {
	return Org{}, errors.ErrUnsupported
}

func (s *Service) CreateToken(ctx context.Context, by Actor, org, label string) (t Token, secret string, err error) {
	return Token{}, "", errors.ErrUnsupported
}

func (s *Service) Tokens(ctx context.Context, org string) ([]Token, error) {
	return nil, errors.ErrUnsupported
}

func (s *Service) DeleteToken(ctx context.Context, by Actor, org, id string) error {
	return errors.ErrUnsupported
}

func (s *Service) BadgeTypes(ctx context.Context, org string) ([]BadgeType, error) {
	return nil, errors.ErrUnsupported
}

func (s *Service) PutBadgeType(ctx context.Context, by Actor, org string, b BadgeType) (BadgeType, error) {
	return BadgeType{}, errors.ErrUnsupported
}

func (s *Service) DeleteBadgeType(ctx context.Context, by Actor, org, id string) error {
	return errors.ErrUnsupported
}

func (s *Service) Properties(ctx context.Context, org string) ([]PropertyStatus, error) {
	return nil, errors.ErrUnsupported
}

func (s *Service) Property(ctx context.Context, org, site string) (PropertyStatus, error) {
	return PropertyStatus{}, errors.ErrUnsupported
}

func (s *Service) PutProperty(ctx context.Context, by Actor, org string, p Property) (PropertyStatus, error) {
	return PropertyStatus{}, errors.ErrUnsupported
}

func (s *Service) DeleteProperty(ctx context.Context, by Actor, org, site string) error {
	return errors.ErrUnsupported
}

func (s *Service) Doors(ctx context.Context, org, site string) ([]access.Door, error) {
	return nil, errors.ErrUnsupported
}

func (s *Service) PutDoor(ctx context.Context, by Actor, org, site string, d access.Door) (access.Door, error) {
	return access.Door{}, errors.ErrUnsupported
}

func (s *Service) DeleteDoor(ctx context.Context, by Actor, org, site, id string) error {
	return errors.ErrUnsupported
}

func (s *Service) AccessGroups(ctx context.Context, org, site string) ([]AccessGroup, error) {
	return nil, errors.ErrUnsupported
}

func (s *Service) PutAccessGroup(ctx context.Context, by Actor, org, site string, g AccessGroup) (AccessGroup, error) {
	return AccessGroup{}, errors.ErrUnsupported
}

func (s *Service) DeleteAccessGroup(ctx context.Context, by Actor, org, site, id string) error {
	return errors.ErrUnsupported
}

func (s *Service) Schedules(ctx context.Context, org, site string) ([]access.Schedule, error) {
	return nil, errors.ErrUnsupported
}

func (s *Service) PutSchedule(ctx context.Context, by Actor, org, site string, d access.Schedule) (access.Schedule, error) {
	return access.Schedule{}, errors.ErrUnsupported
}

func (s *Service) DeleteSchedule(ctx context.Context, by Actor, org, site, id string) error {
	return errors.ErrUnsupported
}

func (s *Service) Rules(ctx context.Context, org, site string) ([]Rule, error) {
	return nil, errors.ErrUnsupported
}

func (s *Service) CreateRule(ctx context.Context, by Actor, org, site string, r Rule) (Rule, error) {
	return Rule{}, errors.ErrUnsupported
}

func (s *Service) PutRule(ctx context.Context, by Actor, org, site string, r Rule) (Rule, error) {
	return Rule{}, errors.ErrUnsupported
}

func (s *Service) DeleteRule(ctx context.Context, by Actor, org, site, id string) error {
	return errors.ErrUnsupported
}

func (s *Service) OrderRules(ctx context.Context, by Actor, org, site string, ids []string) ([]Rule, error) {
	return nil, errors.ErrUnsupported
}

func (s *Service) DirectoryGroups(ctx context.Context, org string) ([]DirectoryGroup, error) {
	return nil, errors.ErrUnsupported
}

func (s *Service) People(ctx context.Context, org string, q PeopleQuery) ([]Person, error) {
	return nil, errors.ErrUnsupported
}

func (s *Service) Person(ctx context.Context, org, id string) (Person, error) {
	return Person{}, errors.ErrUnsupported
}

func (s *Service) CreatePerson(ctx context.Context, by Actor, org string, p NewPerson) (Person, error) {
	return Person{}, errors.ErrUnsupported
}

func (s *Service) PatchPerson(ctx context.Context, by Actor, org, id string, p PersonPatch) (Person, error) {
	return Person{}, errors.ErrUnsupported
}

func (s *Service) DeletePerson(ctx context.Context, by Actor, org, id string) error {
	return errors.ErrUnsupported
}

func (s *Service) AddCard(ctx context.Context, by Actor, org, person string, c NewCard) (Card, error) {
	return Card{}, errors.ErrUnsupported
}

func (s *Service) PatchCard(ctx context.Context, by Actor, org, id string, p CardPatch) (Card, error) {
	return Card{}, errors.ErrUnsupported
}

func (s *Service) DeleteCard(ctx context.Context, by Actor, org, id string) error {
	return errors.ErrUnsupported
}

func (s *Service) AddMembership(ctx context.Context, by Actor, org, person, site, group string) error {
	return errors.ErrUnsupported
}

func (s *Service) RemoveMembership(ctx context.Context, by Actor, org, person, site, group string) error {
	return errors.ErrUnsupported
}

func (s *Service) SiteStatus(ctx context.Context, org, site string) (SiteStatus, error) {
	return SiteStatus{}, errors.ErrUnsupported
}

func (s *Service) SiteLog(ctx context.Context, org, site string, epoch uint32, after uint64, limit int) ([][]byte, error) {
	return nil, errors.ErrUnsupported
}

func (s *Service) SiteEvents(ctx context.Context, org, site string, after uint64, limit int) ([]SiteEvent, error) {
	return nil, errors.ErrUnsupported
}

func (s *Service) Audit(ctx context.Context, org, before string, limit int) ([]AuditEntry, error) {
	return nil, errors.ErrUnsupported
}
