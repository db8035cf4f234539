#!/usr/bin/env python3
"""Makes the signed messages of this folder anew: python3 make.py, with openssl and xmlsec1 at hand.

The messages are signed by xmlsec1, with a key that is thrown away afterwards: whatever the verifier accepts of
their changed forms, nobody has signed but this script. The key that opens the encrypted one is kept.
"""

import base64
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent
IDP, SP = "https://idp.riverton.example/metadata", "https://bailiwick.riverton.example/saml"
SAML, SAMLP = "urn:oasis:names:tc:SAML:2.0:assertion", "urn:oasis:names:tc:SAML:2.0:protocol"
DS, EXC = "http://www.w3.org/2000/09/xmldsig#", "http://www.w3.org/2001/10/xml-exc-c14n#"
XENC = "http://www.w3.org/2001/04/xmlenc#"
AT, UNTIL = "2026-11-22T08:00:00Z", "2026-11-22T08:05:00Z"


def template(of):
    return (
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{EXC}"/>'
        f'<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/>'
        f'<ds:Reference URI="#{of}"><ds:Transforms><ds:Transform Algorithm="{DS}enveloped-signature"/>'
        f'<ds:Transform Algorithm="{EXC}"/></ds:Transforms><ds:DigestMethod Algorithm="{XENC}sha256"/>'
        f"<ds:DigestValue/></ds:Reference></ds:SignedInfo><ds:SignatureValue/>"
        f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate/></ds:X509Data></ds:KeyInfo></ds:Signature>"
    )


def assertion(signature, more=""):
    return (
        f'<saml:Assertion {more}xmlns:xs="http://www.w3.org/2001/XMLSchema" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ID="_assertion" Version="2.0" IssueInstant="{AT}">'
        f"<saml:Issuer>{IDP}</saml:Issuer>{signature}<saml:Subject>"
        f'<saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">det.ruiz</saml:NameID>'
        f'<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData '
        f'NotOnOrAfter="{UNTIL}" Recipient="{SP}/acs" InResponseTo="_request"/></saml:SubjectConfirmation>'
        f'</saml:Subject><saml:Conditions NotBefore="{AT}" NotOnOrAfter="{UNTIL}"><saml:AudienceRestriction>'
        f"<saml:Audience>{SP}/metadata</saml:Audience></saml:AudienceRestriction></saml:Conditions>"
        f'<saml:AuthnStatement AuthnInstant="{AT}" SessionIndex="_s"><saml:AuthnContext>'
        f"<saml:AuthnContextClassRef>https://refeds.org/profile/mfa</saml:AuthnContextClassRef>"
        f"</saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>"
        f'<saml:Attribute Name="displayName"><saml:AttributeValue xsi:type="xs:string">Ruiz &amp; co</saml:AttributeValue>'
        f'</saml:Attribute><saml:Attribute Name="functions"><saml:AttributeValue>detective</saml:AttributeValue>'
        f"<saml:AttributeValue>supervisor</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>"
        f"</saml:Assertion>"
    )


def response(signature, inside):
    return (
        f'<samlp:Response xmlns:samlp="{SAMLP}" xmlns:saml="{SAML}" ID="_response" Version="2.0" '
        f'IssueInstant="{AT}" Destination="{SP}/acs" InResponseTo="_request"><saml:Issuer>{IDP}</saml:Issuer>'
        f'{signature}<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>'
        f"</samlp:Status>{inside}</samlp:Response>"
    )


def run(*arguments):
    subprocess.run(arguments, check=True, capture_output=True)


def signed(folder, xml, of):
    before, after = folder / "before.xml", folder / "after.xml"
    before.write_text(xml)
    which = f"//*[local-name()='Signature'][*/*[@URI='#{of}']]"
    run("xmlsec1", "--sign", "--id-attr:ID", f"{SAMLP}:Response", "--id-attr:ID", f"{SAML}:Assertion",
        "--node-xpath", which, "--privkey-pem", f"{folder}/idp.key,{folder}/idp.pem", "--output", str(after), str(before))
    return after.read_text().split("?>", 1)[1].strip()


def encrypted(folder, xml):
    how = (
        f'<xenc:EncryptedData xmlns:xenc="{XENC}" Type="{XENC}Element">'
        f'<xenc:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes256-gcm"/><ds:KeyInfo xmlns:ds="{DS}">'
        f'<xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="{XENC}rsa-oaep-mgf1p"><ds:DigestMethod '
        f'Algorithm="{DS}sha1"/></xenc:EncryptionMethod><xenc:CipherData><xenc:CipherValue/></xenc:CipherData>'
        f"</xenc:EncryptedKey></ds:KeyInfo><xenc:CipherData><xenc:CipherValue/></xenc:CipherData></xenc:EncryptedData>"
    )
    (folder / "how.xml").write_text(how)
    (folder / "plain.xml").write_text(xml)
    run("xmlsec1", "--encrypt", "--pubkey-cert-pem", f"{folder}/sp.pem", "--session-key", "aes-256",
        "--xml-data", f"{folder}/plain.xml", "--output", f"{folder}/sealed.xml", f"{folder}/how.xml")
    sealed = (folder / "sealed.xml").read_text().split("?>", 1)[1].strip()
    return f"<saml:EncryptedAssertion>{sealed}</saml:EncryptedAssertion>"


def main():
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        for name in ("idp", "sp"):
            run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-sha256", "-nodes", "-days", "30", "-subj",
                f"/CN={name}", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem")
        run("openssl", "pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", f"{folder}/sp.key", "-out",
            str(HERE / "opening-key.der"))
        pem = (folder / "idp.pem").read_text()
        der = "".join(line for line in pem.splitlines() if "-----" not in line)
        (HERE / "metadata.xml").write_text(
            f'<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{IDP}">'
            f'<md:IDPSSODescriptor protocolSupportEnumeration="{SAMLP}"><md:KeyDescriptor use="signing">'
            f'<ds:KeyInfo xmlns:ds="{DS}"><ds:X509Data><ds:X509Certificate>{der}</ds:X509Certificate></ds:X509Data>'
            f'</ds:KeyInfo></md:KeyDescriptor><md:SingleSignOnService Location="https://idp.riverton.example/sso" '
            f'Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"/></md:IDPSSODescriptor></md:EntityDescriptor>\n'
        )
        of_assertion, of_response = template("_assertion"), template("_response")
        plain = response("", assertion(of_assertion))
        (HERE / "assertion.xml").write_text(signed(folder, plain, "_assertion"))
        plain = response(of_response, assertion(""))
        (HERE / "response.xml").write_text(signed(folder, plain, "_response"))
        both = signed(folder, response("", assertion(of_assertion)), "_assertion")
        head, tail = both.split("</saml:Issuer>", 1)
        both = f"{head}</saml:Issuer>{of_response}{tail}"
        (HERE / "both.xml").write_text(signed(folder, both, "_response"))
        alone = assertion("", f'xmlns:saml="{SAML}" ')
        sealed = response(of_response, encrypted(folder, alone))
        (HERE / "encrypted.xml").write_text(signed(folder, sealed, "_response"))


if __name__ == "__main__":
    main()
