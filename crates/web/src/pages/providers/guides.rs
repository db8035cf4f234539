//! What is done at each kind of provider, and the settings that suit it.
//!
//! Names of buttons are those that the products had when this was written; the values are what counts.

/// A kind of provider.
pub(super) struct Guide {
    /// In addresses.
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    /// One paragraph each; our values stand above them.
    pub(super) steps: &'static [&'static str],
    /// What to watch, or what this provider can't.
    pub(super) notes: &'static [&'static str],
    /// Fields of the settings form that suit it.
    pub(super) fields: &'static [(&'static str, &'static str)],
}

const PERSISTENT: (&str, &str) =
    ("name_id_format", "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent");
const REFEDS: (&str, &str) = ("mfa_contexts", "https://refeds.org/profile/mfa");
const FUNCTIONS: (&str, &str) = ("functions_attribute", "functions");
const NAME: (&str, &str) = ("name_attribute", "displayName");
const GROUPS: (&str, &str) =
    ("functions_attribute", "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups");
const METHODS: (&str, &str) =
    ("mfa_attribute_name", "http://schemas.microsoft.com/claims/authnmethodsreferences");
const SEVERAL: (&str, &str) =
    ("mfa_attribute_value", "http://schemas.microsoft.com/claims/multipleauthn");

/// The guide of this id.
pub(super) fn guide(id: &str) -> Option<&'static Guide> {
    GUIDES.iter().find(|guide| guide.id == id)
}

pub(super) const GUIDES: &[Guide] = &[
    Guide {
        id: "entra",
        name: "Microsoft Entra ID",
        summary: "An enterprise application with SAML single sign-on.",
        steps: &[
            "Entra admin centre: Enterprise applications, New application, Create your own application, “not in the gallery”. \
             Open it, then Single sign-on, SAML.",
            "Basic SAML Configuration: Identifier (Entity ID) is our entity ID, Reply URL our assertion consumer, Logout \
             URL our single log-out. “Upload metadata file” with our metadata fills in all three.",
            "Attributes & Claims: the Unique User Identifier has the format Persistent and the source user.objectid. Add a \
             claim displayName with the source user.displayname, without a namespace. Add a group claim with the groups \
             that are assigned to the application; its values are the groups' object IDs.",
            "SAML Certificates: signing option “Sign SAML response and assertion”, SHA-256. Leave token encryption off: \
             Entra encrypts by AES-CBC, which is refused.",
            "Protection: a Conditional Access policy that grants access to this application with multifactor \
             authentication only. Without it people are refused here.",
            "Users and groups: assign the groups whose people may come. Then download “Federation Metadata XML” \
             and upload it below.",
        ],
        notes: &[
            "Entra says by the attribute authnmethodsreferences that more than one factor was used, so no context is asked for.",
            "A person who is in very many groups gets a link in place of the groups. Send only the groups that are assigned to \
             the application.",
            "The metadata is signed by Microsoft's key for this application and changes when that key is rolled over: held to a \
             SHA-256, the new one waits until somebody has looked at it.",
        ],
        fields: &[PERSISTENT, METHODS, SEVERAL, GROUPS, NAME],
    },
    Guide {
        id: "okta",
        name: "Okta",
        summary: "An app integration of the kind SAML 2.0.",
        steps: &[
            "Admin Console: Applications, Create App Integration, SAML 2.0.",
            "Single sign-on URL is our assertion consumer, Audience URI (SP Entity ID) our entity ID. Name ID format is \
             Persistent; leave Default RelayState empty.",
            "Advanced settings: Response Signed, Assertion Signature Signed, RSA-SHA256, SHA256, Assertion Encryption \
             Unencrypted. Upload our certificate as Signature Certificate and have signed requests validated with it. Single \
             Logout: our single log-out URL, and our entity ID as SP Issuer.",
            "Attribute statements: displayName with the value user.displayName; amr with the value session.amr. Group attribute \
             statements: functions, with a filter that matches the groups of this system only.",
            "Sign-on policy of the application: a rule that wants two factors, for everybody.",
            "Assign people or groups. Then, on the Sign On tab, copy the metadata URL, save what it shows as a file, and upload \
             it below.",
        ],
        notes: &[
            "Okta says by the attribute amr which methods were used; `mfa` is among them if there were several.",
            "The name is Okta's own and does not change with the person's e-mail address.",
        ],
        fields: &[
            PERSISTENT,
            ("mfa_attribute_name", "amr"),
            ("mfa_attribute_value", "mfa"),
            FUNCTIONS,
            NAME,
        ],
    },
    Guide {
        id: "adfs",
        name: "AD FS",
        summary: "A relying party trust of Windows Server 2016 or later.",
        steps: &[
            "AD FS Management: Add Relying Party Trust, Claims aware, import from a file: our metadata. Access control policy: \
             “Permit everyone and require MFA”, or one for your groups.",
            "AD FS encrypts by AES-CBC when it finds our key, which is refused. PowerShell: Set-AdfsRelyingPartyTrust \
             -TargetName … -EncryptClaims $false -SamlResponseSignature MessageAndAssertion -SignedSamlRequestsRequired $true.",
            "Claim issuance, first rule (Send LDAP Attributes as Claims, Active Directory): Display-Name as displayName; \
             Token-Groups – Unqualified Names as functions; objectGUID or another name that never changes as an own claim.",
            "Second rule (Transform an Incoming Claim): that own claim becomes Name ID with the format Persistent Identifier.",
            "Third rule (Pass Through): Authentication Methods References, all values.",
            "Export the metadata from https://…/FederationMetadata/2007-06/FederationMetadata.xml and upload it below.",
        ],
        notes: &[
            "AD FS says by the passed-through claim that more than one factor was used, so no context is asked for.",
            "Clocks: AD FS issues assertions that begin now. Set both servers by the same time source.",
        ],
        fields: &[PERSISTENT, METHODS, SEVERAL, FUNCTIONS, NAME],
    },
    Guide {
        id: "keycloak",
        name: "Keycloak",
        summary: "A client of the type SAML in your realm.",
        steps: &[
            "Admin console of the realm: Clients, Import client, our metadata. The client ID is then our entity ID, the master \
             or ACS binding our assertion consumer.",
            "Client settings: Name ID format persistent, Force name ID format on, Sign documents and Sign assertions on, \
             RSA_SHA256, canonicalization EXCLUSIVE. Keys: Client signature required on, Encrypt assertions off.",
            "Client scopes, the dedicated scope, mappers: a user attribute mapper for displayName; a group list mapper with the \
             attribute functions and Full group path off. Remove the scope role_list if it sends more than you want.",
            "Advanced, Authentication flow overrides: a browser flow in which the second factor is Required.",
            "Add a Hardcoded attribute mapper: mfa, with the value yes. It states what the flow makes true. Never put it at \
             a client whose flow lets somebody in with one factor.",
            "Export the realm's SAML 2.0 Identity Provider Metadata (Realm settings, Endpoints) and upload it below.",
        ],
        notes: &[
            "Keycloak states no context that says how many factors there were; hence the hardcoded attribute.",
            "Keycloak sends one Attribute for each group unless Single Group Attribute is on: switch it on, for an attribute \
             that is there twice is refused.",
        ],
        fields: &[
            PERSISTENT,
            ("mfa_attribute_name", "mfa"),
            ("mfa_attribute_value", "yes"),
            FUNCTIONS,
            NAME,
        ],
    },
    Guide {
        id: "simplesamlphp",
        name: "SimpleSAMLphp",
        summary: "A remote service provider in metadata/saml20-sp-remote.php.",
        steps: &[
            "Have our metadata converted: Federation, XML to SimpleSAMLphp metadata converter. Put the result into \
             metadata/saml20-sp-remote.php.",
            "In that entry: 'saml20.sign.response' => true, 'saml20.sign.assertion' => true, 'signature.algorithm' => \
             'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256', 'validate.authnrequest' => true, 'validate.logout' => true, \
             'sign.logout' => true, 'NameIDFormat' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent'. Leave \
             'assertion.encryption' out: it encrypts by AES-CBC, which is refused.",
            "An authproc filter saml:PersistentNameID with an attribute that never changes; attributes displayName and functions.",
            "An authproc filter saml:AuthnContextClassRef that states https://refeds.org/profile/mfa where the authentication \
             source did ask for a second factor, and nowhere else.",
            "Save what saml2/idp/metadata.php shows as a file, and upload it below.",
        ],
        notes: &[
            "With 'ForceAuthn' it must ask again: the authentication source has to honour it.",
        ],
        fields: &[PERSISTENT, REFEDS, FUNCTIONS, NAME],
    },
    Guide {
        id: "other",
        name: "Another SAML 2.0 provider",
        summary: "Whatever speaks Web Browser SSO with redirect and POST.",
        steps: &[
            "Have it read our metadata, or enter our entity ID, assertion consumer, single log-out and certificate.",
            "It must sign the response or the assertion with RSA or ECDSA and SHA-256 or better, answer by POST, and accept signed \
             requests by redirect.",
            "It must name people by a NameID that never changes and is never given to somebody else, and state more than one factor \
             by a context class or an attribute.",
            "Export its metadata, of this one provider alone, and upload it below.",
        ],
        notes: &["Encryption, if it must be: AES-256-GCM with RSA-OAEP, and the response signed."],
        fields: &[PERSISTENT, REFEDS, FUNCTIONS, NAME],
    },
];
