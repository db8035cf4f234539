//! Documents of every shape are written, the same every time, and refused where they do not fit.

use super::face::{Faces, Weight};
use super::{Attached, Block, Document, DocumentError, PAGES_MAX, Table, layout};

fn document(blocks: Vec<Block>) -> Document {
    Document {
        title: "Vehicle look-up".to_owned(),
        author: "Riverton Police Department".to_owned(),
        program: "Bailiwick".to_owned(),
        created: "2026-11-22T21:30:05Z".parse().unwrap(),
        marks: vec!["CHRI".to_owned(), "JUVENILE: do not re-disclose".to_owned()],
        reference: "entry 41 of riverton.example/ledger".to_owned(),
        blocks,
        attached: vec![Attached {
            name: "rows.csv".to_owned(),
            media_type: "text/csv".to_owned(),
            description: "The same rows".to_owned(),
            bytes: b"a,b\r\n".to_vec(),
        }],
    }
}

fn table(columns: usize, rows: usize) -> Table {
    let cell = |row: usize, column: usize| format!("row {row} column {column}");
    Table {
        columns: (0..columns).map(|column| format!("Column {column}")).collect(),
        rows: (0..rows).map(|row| (0..columns).map(|column| cell(row, column)).collect()).collect(),
    }
}

#[test]
fn same_document_gives_the_same_bytes() {
    let blocks = || {
        vec![
            Block::Heading("What was asked".to_owned()),
            Block::Facts(vec![
                ("Plate".to_owned(), "NBX 4471".to_owned()),
                (String::new(), String::new()),
            ]),
            Block::Paragraph("Fünf Wörter, Ελληνικά, Кириллица.\n\nNext.".to_owned()),
            Block::Table(table(4, 100)),
            Block::Table(table(9, 3)),
            Block::Table(table(40, 2)),
            Block::Table(table(2, 0)),
            Block::Code { text: "parcel 7".to_owned(), said: "QR code of: parcel 7".to_owned() },
        ]
    };
    let first = document(blocks()).write().unwrap();
    assert!(first.starts_with(b"%PDF-1.7"));
    assert_eq!(document(blocks()).write().unwrap(), first);
    assert_ne!(document(vec![]).write().unwrap(), first);
}

#[test]
fn every_line_has_its_place_on_a_page() {
    let faces = Faces::load().unwrap();
    let mut long = table(3, 40);
    long.rows[7][1] = "word ".repeat(3_000);
    long.rows[8][2] = "x".repeat(500);
    let laid = layout::lay(&document(vec![Block::Table(long)]), &faces).unwrap();
    assert!(laid.sheets.len() > 3);
    for line in laid.sheets.iter().flat_map(|sheet| &sheet.lines) {
        let right = line.x + faces.width(line.text.trim_end(), line.weight, line.size);
        assert!(right <= laid.width - 49.0, "{line:?} ends at {right}");
        assert!(line.y > 50.0 && line.y < laid.height - 50.0, "{line:?}");
    }
    // What was in the long cells is all there.
    let all = laid.sheets.iter().flat_map(|sheet| &sheet.lines);
    let words: usize = all.map(|line| line.text.matches("word").count()).sum();
    assert_eq!(words, 3_000);
}

#[test]
fn characters_that_can_not_be_drawn_are_shown_as_numbers() {
    let faces = Faces::load().unwrap();
    for (text, shown) in [
        ("Müller, Jörg", "Müller, Jörg"),
        ("Mu\u{308}ller", "Müller"),
        ("a\tb\r\nc\u{7}", "a    b\nc[U+0007]"),
        ("gpj\u{202e}exe", "gpj[U+202E]exe"),
        ("שלום", "[U+05E9][U+05DC][U+05D5][U+05DD]"),
        ("漢", "[U+6F22]"),
        ("\u{0}\u{feff}\u{e000}\u{10ffff}", "[U+0000][U+FEFF][U+E000][U+10FFFF]"),
    ] {
        assert_eq!(faces.shown(text), shown, "{text:?}");
    }
    assert_eq!(faces.wrap("one two", Weight::Plain, 9.0, 25.0), ["one ", "two"]);
    assert_eq!(faces.wrap("", Weight::Plain, 9.0, 25.0), [""]);
}

#[test]
fn any_text_can_be_written() {
    let odd: String = (0..0x3000).filter_map(char::from_u32).collect();
    let facts = vec![(odd.clone(), odd.clone())];
    let mut document = document(vec![Block::Facts(facts), Block::Paragraph(odd)]);
    document.write().unwrap();
    document.title = "\u{202e}\u{0}漢".to_owned();
    document.write().unwrap();
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut uneven = table(3, 2);
    uneven.rows[1].pop();
    let cases: [(Document, &str); 5] = [
        (Document { title: " ".to_owned(), ..document(vec![]) }, "the document has no title"),
        (
            document(vec![Block::Table(uneven)]),
            "the document has a row that does not fit its columns",
        ),
        (document(vec![Block::Table(table(257, 1))]), "columns: 257, and the limit is 256"),
        (
            Document { marks: vec!["mark ".repeat(400)], ..document(vec![]) },
            "lines at the head or foot of a page: ",
        ),
        (
            document(vec![Block::Paragraph("\n".repeat(PAGES_MAX * 60))]),
            "pages: 5001, and the limit is 5000",
        ),
    ];
    for (document, expected) in cases {
        let refused = document.write().unwrap_err();
        assert!(refused.to_string().starts_with(expected), "{refused}");
    }
    let mut twice = document(vec![]);
    twice.attached.push(twice.attached[0].clone());
    assert!(matches!(twice.write(), Err(DocumentError::Form(_))));
}

#[test]
fn a_code_has_its_finders_in_three_corners_and_a_long_text_is_refused() {
    let digest = "5a".repeat(32);
    let squares = super::code::squares(&format!("parcel 7 sha256 {digest}")).unwrap();
    let (last, finder) = (squares.len() - 7, [true, true, true, true, true, true, true]);
    for (row, column) in [(0, 0), (0, last), (last, 0), (6, 0), (6, last)] {
        assert_eq!(squares[row][column..column + 7], finder, "{row} {column}");
    }
    assert!(squares.iter().all(|row| row.len() == squares.len()));
    let long = Block::Code { text: "x".repeat(301), said: "a code".to_owned() };
    let error = document(vec![long]).write().unwrap_err();
    assert!(matches!(error, DocumentError::Limit { value: 301, .. }), "{error}");
}
