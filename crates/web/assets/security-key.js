// Asks the browser for a security key (WebAuthn) when the form #security-key is sent, and sends what it answered.
//
// What is asked stands in the form's data attributes, written by the server; what comes back goes into its hidden
// fields, as Base64url. Nothing is judged or stored here.
"use strict";
(() => {
  const form = document.getElementById("security-key");
  const told = document.getElementById("security-key-told");
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .replace(/=/g, "");

  const make = (asked) =>
    navigator.credentials.create({
      publicKey: {
        challenge: bytes(asked.challenge),
        rp: { id: asked.site, name: "Bailiwick" },
        user: { id: bytes(asked.user), name: asked.name, displayName: asked.name },
        pubKeyCredParams: [{ type: "public-key", alg: -7 }],
        authenticatorSelection: { residentKey: "discouraged", userVerification: "required" },
        attestation: "none",
        timeout: 240000,
      },
    });
  const show = (asked) =>
    navigator.credentials.get({
      publicKey: {
        challenge: bytes(asked.challenge),
        rpId: asked.site,
        allowCredentials: asked.keys.split(" ").map((id) => ({ type: "public-key", id: bytes(id) })),
        userVerification: "required",
        timeout: 240000,
      },
    });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.busy) return;
    form.busy = true;
    told.textContent = "Waiting for the security key.";
    try {
      const asked = form.dataset;
      const { rawId, response } = asked.registers === "true" ? await make(asked) : await show(asked);
      const data = response.getAuthenticatorData ? response.getAuthenticatorData() : response.authenticatorData;
      form.elements.credential.value = text(rawId);
      form.elements.client_data.value = text(response.clientDataJSON);
      form.elements.authenticator_data.value = text(data);
      form.elements.signature.value = response.signature ? text(response.signature) : "";
      form.submit();
    } catch (error) {
      form.busy = false;
      told.textContent = `The security key was not used (${error.name}). Try again.`;
    }
  });
})();
