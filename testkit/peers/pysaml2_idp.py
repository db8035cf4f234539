"""A SAML identity provider made of pysaml2's own server, for tests: one person, signed in as soon as asked.

Arguments: port, folder (idp.key, idp.pem), and the address of a service's metadata, which is asked for at the first
request. Prints `ready` when it listens. Nothing here is fit for people.
"""

import base64
import http.server
import json
import os
import sys
import time
import urllib.parse
import urllib.request

import saml2.entity
import saml2.sigver
from saml2 import BINDING_HTTP_REDIRECT
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.saml import NAMEID_FORMAT_PERSISTENT, NameID
from saml2.server import Server
from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256

port, folder, service = int(sys.argv[1]), sys.argv[2], sys.argv[3]
base = f"http://127.0.0.1:{port}"
MFA = "https://refeds.org/profile/mfa"

# By itself it encrypts with 3DES.
prepare, encrypt = saml2.sigver.pre_encryption_part, saml2.sigver.CryptoBackendXmlSec1.encrypt_assertion
saml2.entity.pre_encryption_part = lambda **more: prepare(
    msg_enc="http://www.w3.org/2009/xmlenc11#aes256-gcm", **more)
saml2.sigver.CryptoBackendXmlSec1.encrypt_assertion = (
    lambda self, statement, key, template, key_type="", node_xpath=None, node_id=None: encrypt(
        self, statement, key, template, "aes-256", node_xpath, node_id))


def option(name):
    """What a test wants otherwise, at this moment."""
    try:
        with open(os.path.join(folder, "options.json")) as file:
            return json.load(file).get(name)
    except FileNotFoundError:
        return None


def configured(metadata):
    settings = {
        "entityid": f"{base}/idp",
        "xmlsec_binary": "/usr/bin/xmlsec1",
        "key_file": os.path.join(folder, "idp.key"),
        "cert_file": os.path.join(folder, "idp.pem"),
        "service": {
            "idp": {
                "endpoints": {
                    "single_sign_on_service": [(f"{base}/sso", BINDING_HTTP_REDIRECT)],
                    "single_logout_service": [(f"{base}/slo", BINDING_HTTP_REDIRECT)],
                },
                "name_id_format": [NAMEID_FORMAT_PERSISTENT],
                "want_authn_requests_signed": True,
                "sign_response": True,
                "sign_assertion": True,
                # By itself it signs with SHA-1.
                "signing_algorithm": SIG_RSA_SHA256,
                "digest_algorithm": DIGEST_SHA256,
                "policy": {"default": {"lifetime": {"minutes": 5}, "attribute_restrictions": None,
                                       "name_form": "urn:oasis:names:tc:SAML:2.0:attrname-format:basic"}},
            }
        },
        "metadata": {"inline": [metadata]} if metadata else {},
    }
    return IdPConfig().load(settings)


SERVER = None


def server():
    global SERVER
    if SERVER is None:
        with urllib.request.urlopen(service) as answer:
            SERVER = Server(config=configured(answer.read().decode()))
    return SERVER


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/metadata":
            return self.answer(200, str(entity_descriptor(configured(None))))
        fields = dict(urllib.parse.parse_qsl(query))
        try:
            if path == "/sso":
                return self.sso(fields)
            if path == "/slo":
                return self.slo(fields)
        except Exception as error:  # a test reads what went wrong
            return self.answer(500, f"{type(error).__name__}: {error}")
        return self.answer(404, "")

    def sso(self, fields):
        idp = server()
        request = idp.parse_authn_request(
            fields["SAMLRequest"], BINDING_HTTP_REDIRECT, relay_state=fields["RelayState"],
            sigalg=fields["SigAlg"], signature=fields["Signature"])
        message = request.message
        to = idp.response_args(message)
        name = NameID(format=NAMEID_FORMAT_PERSISTENT, text="det.ruiz")
        response = idp.create_authn_response(
            {"displayName": ["Elena Ruiz"], "functions": ["detective"]}, userid="det.ruiz",
            name_id=name, authn={"class_ref": MFA, "authn_auth": f"{base}/idp", "authn_instant": int(time.time())},
            sign_response=True, sign_assertion=True, sign_alg=SIG_RSA_SHA256, digest_alg=DIGEST_SHA256,
            encrypt_assertion=bool(option("encrypt")), **to)
        encoded = base64.b64encode(str(response).encode()).decode()
        self.answer(200, f"""<!DOCTYPE html><title>Back</title><form method="post" action="{to['destination']}">
<input type="hidden" name="SAMLResponse" value="{encoded}">
<input type="hidden" name="RelayState" value="{fields['RelayState']}"><button>Go on</button></form>""")

    def slo(self, fields):
        idp = server()
        request = idp.parse_logout_request(
            fields["SAMLRequest"], BINDING_HTTP_REDIRECT, relay_state=fields.get("RelayState"),
            sigalg=fields["SigAlg"], signature=fields["Signature"])
        response = idp.create_logout_response(request.message, [BINDING_HTTP_REDIRECT], sign=False)
        where = [
            found["location"] for found in idp.metadata.single_logout_service(
                request.message.issuer.text, BINDING_HTTP_REDIRECT, "spsso")]
        sent = idp.apply_binding(BINDING_HTTP_REDIRECT, str(response), where[0], "", response=True,
                                 sign=True, sigalg=SIG_RSA_SHA256)
        self.answer(303, "", [("Location", dict(sent["headers"])["Location"])])


listening = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
print("ready", flush=True)
listening.serve_forever()
