"""pysaml2 as a service provider that verifies the same answers over and over, for the bench.

Arguments: folder (idp.xml, posted.txt with an answer in base64 a line), our entity ID, our ACS, the provider's entity
ID, the ID of the request. Prints `ready`; then for each line with a number of seconds how many answers it accepted.
"""

import os
import sys
import time

from saml2 import BINDING_HTTP_POST
from saml2.client import Saml2Client
from saml2.config import SPConfig

folder, entity, acs, _provider, request = sys.argv[1:6]


def client():
    return Saml2Client(SPConfig().load({
        "entityid": entity,
        "xmlsec_binary": "/usr/bin/xmlsec1",
        "service": {"sp": {
            "endpoints": {"assertion_consumer_service": [(acs, BINDING_HTTP_POST)]},
            "want_response_signed": True,
            "want_assertions_signed": False,
            "want_assertions_or_response_signed": True,
            "allow_unsolicited": False,
        }},
        "metadata": {"local": [os.path.join(folder, "idp.xml")]},
        "accepted_time_diff": 60,
    }))


with open(os.path.join(folder, "posted.txt")) as file:
    posted = file.read().split("\n")
service = client()


def accept(answer):
    parsed = service.parse_authn_request_response(answer, BINDING_HTTP_POST, outstanding={request: "/"})
    assert parsed.name_id.text.startswith("person-"), parsed.name_id


accept(posted[0])
print("ready", flush=True)
for line in sys.stdin:
    until, done = time.monotonic() + float(line), 0
    while time.monotonic() < until:
        accept(posted[done % len(posted)])
        done += 1
    print(done, flush=True)
