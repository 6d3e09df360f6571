package pages

import (
	"strings"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

// atDirectory is where the pages of the directory stand, below Root.
const atDirectory = "directory"

func (s *server) directoryRoutes() {
	s.get(atDirectory, signin.Viewer, s.connection)
	s.post(atDirectory+"/scim", signin.Owner, switchSCIM)
	s.post(atDirectory+"/settings", signin.Admin, s.saveDirectory)
	s.tokenRoutes()
	s.syncRoutes()
	s.oktaRoutes()
}

// A connectionPage is all that a directory needs to call, and how it is
// understood.
type connectionPage struct {
	TenantURL string // empty: nobody has said it
	Org       cloud.Org
	Tokens    []tokenLine
	Newest    string // the newest token when the page was made
	Label     string // of the token to make, as entered
	Profiles  []choice
	Removals  []choice
	Sentinels string // one a line
}

// A choice is one of several, with what follows from it.
type choice struct {
	Value, Name, Text string
	Chosen            bool
}

// chosen marks the choice of a value.
func chosen(value string, all ...choice) []choice {
	for i := range all {
		all[i].Chosen = all[i].Value == value
	}
	return all
}

// auto is the form's word for cloud.ProfileAuto.
const auto = "auto"

func profiles(p cloud.Profile) []choice {
	value := string(p)
	if p == cloud.ProfileAuto {
		value = auto
	}
	return chosen(value,
		choice{Value: auto, Name: "Automatic", Text: "Entra ID and Okta are told apart by what they say of themselves. Right for nearly everybody."},
		choice{Value: string(cloud.ProfileEntra), Name: "Microsoft Entra ID", Text: "Every caller counts as Entra ID, whatever it says of itself."},
		choice{Value: string(cloud.ProfileOkta), Name: "Okta", Text: "Every caller counts as Okta, whatever it says of itself."},
		choice{Value: string(cloud.ProfileStrict), Name: "Strict", Text: "The standard to the letter, for other software. Calls that Entra ID makes are then refused where the standard refuses them."})
}

func removals(value string) []choice {
	return chosen(value,
		choice{Value: cloud.RemovalKeep, Name: "Keep the card", Text: "It goes on opening doors until somebody deletes it here by hand."},
		choice{Value: cloud.RemovalRevoke, Name: "Delete the card", Text: "It stops at every door at once; where very many numbers vanish together, that waits until somebody confirms it. Entra ID cannot send an empty number: map one of the words below there."})
}

// connection shows the page as it is stored.
func (s *server) connection(c *call) (answer, error) {
	data, err := s.connectionPage(c)
	if err != nil {
		return nil, err
	}
	return page{template: "directory", title: "Directory", data: data}, nil
}

func (s *server) connectionPage(c *call) (connectionPage, error) {
	org, err := c.cloud.Org(c.Context(), c.Org)
	if err != nil {
		return connectionPage{}, err
	}
	tokens, err := c.cloud.Tokens(c.Context(), c.Org)
	if err != nil {
		return connectionPage{}, err
	}
	return connectionPage{
		TenantURL: s.tenantURL, Org: org, Tokens: tokenLines(tokens), Newest: newest(tokens),
		Profiles: profiles(org.Profile), Removals: removals(org.CardRemoval), Sentinels: strings.Join(org.Sentinels, "\n"),
	}, nil
}

// again shows the page with what was entered and what is wrong with it; err
// comes back where that is nothing of whoever entered it.
func (s *server) again(c *call, err error, entered func(*connectionPage)) (answer, error) {
	text := problem(err)
	if text == "" {
		return nil, err
	}
	data, err := s.connectionPage(c)
	if err != nil {
		return nil, err
	}
	entered(&data)
	return page{template: "directory", title: "Directory", data: data, problem: text}, nil
}

// switchSCIM lets the directory in, or refuses its next request already.
func switchSCIM(c *call) (answer, error) {
	on := c.text("scim") == "on"
	if _, err := c.cloud.PatchOrg(c.Context(), c.Actor, c.Org, cloud.OrgPatch{SCIMEnabled: &on}); err != nil {
		return nil, err
	}
	if on {
		return redirect{to: atDirectory, did: "scim-on"}, nil
	}
	return redirect{to: atDirectory, did: "scim-off"}, nil
}

func (s *server) saveDirectory(c *call) (answer, error) {
	profile, removal, sentinels := cloud.Profile(c.text("profile")), c.text("card_removal"), []string{}
	for line := range strings.Lines(c.FormValue("sentinels")) {
		if line = strings.TrimSpace(line); line != "" {
			sentinels = append(sentinels, line)
		}
	}
	stored := profile
	if profile == auto {
		stored = cloud.ProfileAuto
	}
	_, err := c.cloud.PatchOrg(c.Context(), c.Actor, c.Org, cloud.OrgPatch{Profile: &stored, CardRemoval: &removal, Sentinels: &sentinels})
	if err != nil {
		return s.again(c, err, func(p *connectionPage) {
			p.Profiles, p.Removals, p.Sentinels = profiles(profile), removals(removal), c.FormValue("sentinels")
		})
	}
	return redirect{to: atDirectory, did: "directory-saved"}, nil
}
