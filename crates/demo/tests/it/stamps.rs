//! A real time-stamp authority, openssl's, is asked over HTTP for what leaves, and both agencies' pages say what it said.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Command;

use demo::runner::Staging;
use http::{Request, Response};
use ledger::Event;
use tempfile::TempDir;
use tokio::sync::oneshot;
use wire::serve::{Limits, PlainListener, serve_plain};
use wire::{IngressBody, Outgoing};

use crate::sending::{CASE, USUAL, approve, preview, wait_for};
use crate::stage::{Stage, root, step_up};

const CONFIG: &str = "[tsa]\ndefault_tsa=one\n[one]\nserial=serial\nsigner_cert=tsa.pem\nsigner_key=tsa.key\n\
    signer_digest=sha384\ndefault_policy=1.2.3.4.1\ndigests=sha384\naccuracy=secs:1\ness_cert_id_alg=sha256\n";
const USAGE: &str = "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n";

fn openssl(folder: &Path, line: &str) {
    let said = Command::new("openssl").args(line.split(' ')).current_dir(folder).output().unwrap();
    assert!(said.status.success(), "{line}: {}", String::from_utf8_lossy(&said.stderr));
}

/// An authority with a certificate of its own, that answers requests at a port.
async fn authority(folder: &Path) -> (u16, oneshot::Sender<()>) {
    std::fs::write(folder.join("tsa.cnf"), CONFIG).unwrap();
    std::fs::write(folder.join("tsa.ext"), USAGE).unwrap();
    std::fs::write(folder.join("serial"), "01\n").unwrap();
    openssl(folder, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out tsa.key");
    openssl(folder, "req -new -key tsa.key -subj /CN=openssl -out tsa.csr");
    openssl(
        folder,
        "x509 -req -in tsa.csr -key tsa.key -days 30 -sha384 -extfile tsa.ext -out tsa.pem",
    );
    let folder: PathBuf = folder.to_owned();
    let service = tower::service_fn(move |request: Request<IngressBody>| {
        let folder = folder.clone();
        async move {
            let (mut body, mut query) = (request.into_body(), Vec::new());
            while let Some(piece) = body.chunk().await {
                query.extend_from_slice(&piece.unwrap());
            }
            std::fs::write(folder.join("q.tsq"), query).unwrap();
            openssl(&folder, "ts -reply -config tsa.cnf -queryfile q.tsq -out r.tsr");
            let answer = std::fs::read(folder.join("r.tsr")).unwrap();
            let mut response = Response::new(Outgoing::bytes(answer.into()));
            let kind = "application/timestamp-reply".parse().unwrap();
            response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
            Ok::<_, Infallible>(response)
        }
    });
    let listener = PlainListener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let port = listener.address().unwrap().port();
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(serve_plain(listener, Limits::partners(), service, async {
        stopped.await.ok();
    }));
    (port, stop)
}

/// The received parcel's token, held by openssl.
fn held_by_openssl(folder: &TempDir, tsa: &Path, exchange: &str) {
    let lakeside = root(folder).join("lakeside/data/parcels/incoming").join(exchange);
    let data = lakeside.join("seal/tagmanifest-sha256.txt.p7s");
    let token = format!("{}.tsr", data.display());
    let line = format!(
        "ts -verify -data {} -in {token} -CAfile {} -partial_chain",
        data.display(),
        tsa.join("tsa.pem").display()
    );
    openssl(tsa, &line);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_takes_along_what_a_real_authority_says_and_both_pages_show_it() {
    let tsa = tempfile::tempdir().unwrap();
    let (port, _stop) = authority(tsa.path()).await;
    let settings = format!(
        "\n[exchange.time_stamps]\nurl = \"http://127.0.0.1:{port}/\"\nplain_http = true\n\
         authorities = [\"{}\"]\npolicy = \"1.2.3.4.1\"\n",
        tsa.path().join("tsa.pem").display()
    );
    let staging = Staging { settings, ..Staging::default() };
    let stage = Stage::with(tempfile::tempdir().unwrap(), staging).await;
    let mut ruiz = stage.seat("det.ruiz").await;
    step_up(&mut ruiz, "/tools/case-file").await;
    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", USUAL)]).await;
    let form = page.pressed("Ask for approval").unwrap();
    let page = ruiz.browser.submit(&page, &form).await.unwrap();
    let export = page.address.path().to_owned();
    let mut okafor = stage.seat("sgt.okafor").await;
    approve(&mut okafor, &export).await;
    let page = wait_for(&mut okafor, &export, "acknowledged").await;
    assert!(page.says("Time stamp") && page.says("by CN=openssl"), "{}", page.text());
    let events = stage.events(&["parcel-stamped", "parcel-sent"]);
    let [Event::ParcelStamped(stamped), Event::ParcelSent(sent)] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert!(stamped.known && stamped.exchange == sent.exchange);
    held_by_openssl(&stage.folder, tsa.path(), &sent.exchange);

    let mut pell = stage.at_lakeside("inv.pell").await;
    let page = pell.open("/incoming").await.unwrap();
    let page = pell.browser.follow(&page, "No. 1 from NB0010100").await.unwrap();
    let form = page.pressed("Accept it").unwrap();
    let page = pell.browser.submit(&page, &form).await.unwrap();
    let form = page.pressed("Open the parcel").unwrap();
    let page = pell.browser.submit(&page, &form).await.unwrap();
    assert!(page.says("an authority that nobody here said to believe"), "{}", page.text());
    stage.world.stop().await;
}
