//! The kinds of files that are told apart, by their first bytes.

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Mp4,
    QuickTime,
    Matroska,
    Avi,
    MpegTs,
    MpegPs,
    Asf,
    Mp3,
    Wav,
    Flac,
    Ogg,
    Jpeg,
    Png,
    Gif,
    Tiff,
    Webp,
    Heif,
    Pdf,
    Zip,
    Gzip,
    SevenZip,
    Rar,
    Ole,
    Rtf,
    Sqlite,
    Outlook,
    Ewf,
    Elf,
    Pe,
    MachO,
    Script,
    Html,
    Xml,
    Text,
    Empty,
    Unknown,
}

/// First bytes, at a place, of a kind. The first that fits counts.
const MARKS: &[(usize, &[u8], Kind)] = &[
    (0, b"\x7fELF", Kind::Elf),
    (0, b"MZ", Kind::Pe),
    (0, b"\xfe\xed\xfa\xce", Kind::MachO),
    (0, b"\xfe\xed\xfa\xcf", Kind::MachO),
    (0, b"\xce\xfa\xed\xfe", Kind::MachO),
    (0, b"\xcf\xfa\xed\xfe", Kind::MachO),
    (0, b"\xca\xfe\xba\xbe", Kind::MachO),
    (0, b"#!", Kind::Script),
    (0, b"%PDF-", Kind::Pdf),
    (0, b"\x89PNG\r\n\x1a\n", Kind::Png),
    (0, b"\xff\xd8\xff", Kind::Jpeg),
    (0, b"GIF87a", Kind::Gif),
    (0, b"GIF89a", Kind::Gif),
    (0, b"II*\0", Kind::Tiff),
    (0, b"MM\0*", Kind::Tiff),
    (8, b"WEBP", Kind::Webp),
    (8, b"WAVE", Kind::Wav),
    (8, b"AVI ", Kind::Avi),
    (0, b"fLaC", Kind::Flac),
    (0, b"OggS", Kind::Ogg),
    (0, b"ID3", Kind::Mp3),
    (0, b"\xff\xfb", Kind::Mp3),
    (0, b"\x1a\x45\xdf\xa3", Kind::Matroska),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind::Asf),
    (0, b"\0\0\x01\xba", Kind::MpegPs),
    (4, b"ftypqt  ", Kind::QuickTime),
    (4, b"ftypheic", Kind::Heif),
    (4, b"ftypheix", Kind::Heif),
    (4, b"ftypmif1", Kind::Heif),
    (4, b"ftypavif", Kind::Heif),
    (4, b"ftyp", Kind::Mp4),
    (4, b"styp", Kind::Mp4),
    (4, b"moov", Kind::QuickTime),
    (4, b"mdat", Kind::QuickTime),
    (4, b"wide", Kind::QuickTime),
    (0, b"PK\x03\x04", Kind::Zip),
    (0, b"PK\x05\x06", Kind::Zip),
    (0, b"\x1f\x8b", Kind::Gzip),
    (0, b"7z\xbc\xaf\x27\x1c", Kind::SevenZip),
    (0, b"Rar!\x1a\x07", Kind::Rar),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind::Ole),
    (0, b"{\\rtf", Kind::Rtf),
    (0, b"SQLite format 3\0", Kind::Sqlite),
    (0, b"!BDN", Kind::Outlook),
    (0, b"EVF\x09\x0d\x0a\xff\0", Kind::Ewf),
];

/// Endings of names, and what they promise.
const ENDINGS: &[(&str, Kind)] = &[
    ("mp4", Kind::Mp4),
    ("m4v", Kind::Mp4),
    ("m4a", Kind::Mp4),
    ("mov", Kind::QuickTime),
    ("mkv", Kind::Matroska),
    ("webm", Kind::Matroska),
    ("avi", Kind::Avi),
    ("ts", Kind::MpegTs),
    ("mpg", Kind::MpegPs),
    ("mpeg", Kind::MpegPs),
    ("asf", Kind::Asf),
    ("wmv", Kind::Asf),
    ("wma", Kind::Asf),
    ("mp3", Kind::Mp3),
    ("wav", Kind::Wav),
    ("flac", Kind::Flac),
    ("ogg", Kind::Ogg),
    ("jpg", Kind::Jpeg),
    ("jpeg", Kind::Jpeg),
    ("png", Kind::Png),
    ("gif", Kind::Gif),
    ("tif", Kind::Tiff),
    ("tiff", Kind::Tiff),
    ("webp", Kind::Webp),
    ("heic", Kind::Heif),
    ("avif", Kind::Heif),
    ("pdf", Kind::Pdf),
    ("zip", Kind::Zip),
    ("docx", Kind::Zip),
    ("xlsx", Kind::Zip),
    ("pptx", Kind::Zip),
    ("odt", Kind::Zip),
    ("gz", Kind::Gzip),
    ("7z", Kind::SevenZip),
    ("rar", Kind::Rar),
    ("doc", Kind::Ole),
    ("xls", Kind::Ole),
    ("msg", Kind::Ole),
    ("rtf", Kind::Rtf),
    ("pst", Kind::Outlook),
    ("e01", Kind::Ewf),
    ("html", Kind::Html),
    ("htm", Kind::Html),
    ("xml", Kind::Xml),
    ("txt", Kind::Text),
    ("csv", Kind::Text),
    ("json", Kind::Text),
];

/// What a name promises by its ending.
pub fn of_name(name: &str) -> Option<Kind> {
    let (_, ending) = name.rsplit_once('.')?;
    ENDINGS.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known)).map(|(_, kind)| *kind)
}

/// Media types that stand for a kind, beside the one that we give it.
const ALIASES: &[(&str, Kind)] = &[
    ("text/csv", Kind::Text),
    ("application/json", Kind::Text),
    ("text/markdown", Kind::Text),
    ("text/xml", Kind::Xml),
    ("image/svg+xml", Kind::Xml),
    ("application/xhtml+xml", Kind::Html),
    ("image/jpg", Kind::Jpeg),
    ("image/heic", Kind::Heif),
    ("image/avif", Kind::Heif),
    ("audio/mp4", Kind::Mp4),
    ("audio/ogg", Kind::Ogg),
    ("video/ogg", Kind::Ogg),
    ("audio/x-wav", Kind::Wav),
    ("video/webm", Kind::Matroska),
    ("application/msword", Kind::Ole),
    ("application/vnd.ms-excel", Kind::Ole),
    ("application/x-zip-compressed", Kind::Zip),
    ("application/x-rar-compressed", Kind::Rar),
];

/// Kinds that a media type can stand for.
const TYPED: &[Kind] = &[
    Kind::Mp4,
    Kind::QuickTime,
    Kind::Matroska,
    Kind::Avi,
    Kind::MpegTs,
    Kind::MpegPs,
    Kind::Asf,
    Kind::Mp3,
    Kind::Wav,
    Kind::Flac,
    Kind::Ogg,
    Kind::Jpeg,
    Kind::Png,
    Kind::Gif,
    Kind::Tiff,
    Kind::Webp,
    Kind::Heif,
    Kind::Pdf,
    Kind::Zip,
    Kind::Gzip,
    Kind::SevenZip,
    Kind::Rar,
    Kind::Ole,
    Kind::Rtf,
    Kind::Sqlite,
    Kind::Outlook,
    Kind::Ewf,
    Kind::Elf,
    Kind::Pe,
    Kind::MachO,
    Kind::Script,
    Kind::Html,
    Kind::Xml,
    Kind::Text,
];

/// What a media type promises; none where it is general or not known here.
pub fn of_media_type(stated: &str) -> Option<Kind> {
    let (stated, _) = stated.split_once(';').unwrap_or((stated, ""));
    let stated = stated.trim();
    let is = |known: &str| stated.eq_ignore_ascii_case(known);
    let alias = ALIASES.iter().find(|(known, _)| is(known)).map(|(_, kind)| *kind);
    // Documents that are made as a ZIP archive.
    let packed =
        |start: &str| stated.get(..start.len()).is_some_and(|it| it.eq_ignore_ascii_case(start));
    let packed = packed("application/vnd.openxmlformats-officedocument.")
        || packed("application/vnd.oasis.opendocument.");
    let known = TYPED.iter().copied().find(|kind| is(kind.media_type()));
    alias.or(packed.then_some(Kind::Zip)).or(known)
}

impl Kind {
    /// Whether it promises something else than what is there.
    pub fn differs_from(self, found: Self) -> bool {
        self != found && !self.may_be(found)
    }

    /// By a file's first bytes.
    pub fn of(head: &[u8]) -> Self {
        if head.is_empty() {
            return Self::Empty;
        }
        let at = |place: usize, mark: &[u8]| {
            head.get(place..).is_some_and(|rest| rest.starts_with(mark))
        };
        let found = MARKS.iter().find(|(place, mark, _)| at(*place, mark));
        if let Some((place, _, kind)) = found
            && (*place != 8 || at(0, b"RIFF"))
        {
            return *kind;
        }
        // A packet of 188 bytes begins with the same byte as the next two.
        if [0, 188, 376].iter().all(|place| head.get(*place) == Some(&0x47)) {
            return Self::MpegTs;
        }
        Self::of_text(head)
    }

    fn of_text(head: &[u8]) -> Self {
        let text = match std::str::from_utf8(head) {
            Ok(text) => text,
            // The last character may be cut by where the head ends.
            Err(error) if error.valid_up_to() + 4 > head.len() => {
                let whole = head.get(..error.valid_up_to()).unwrap_or_default();
                std::str::from_utf8(whole).unwrap_or_default()
            }
            Err(_) => return Self::Unknown,
        };
        if text.is_empty()
            || text.chars().any(|letter| letter.is_control() && !"\t\r\n\u{c}".contains(letter))
        {
            return Self::Unknown;
        }
        let start = text.trim_start_matches('\u{feff}').trim_start();
        let begins = |word: &str| {
            start.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word))
        };
        if begins("<!doctype html") || begins("<html") || begins("<script") {
            Self::Html
        } else if begins("<?xml") {
            Self::Xml
        } else {
            Self::Text
        }
    }

    /// Its media type (RFC 6838).
    pub const fn media_type(self) -> &'static str {
        self.facts().0
    }

    /// In words.
    pub const fn what(self) -> &'static str {
        self.facts().1
    }

    /// Whether it is a program.
    pub const fn runs(self) -> bool {
        matches!(self, Self::Elf | Self::Pe | Self::MachO | Self::Script)
    }

    /// Whether a file that promises this kind may well be the other.
    pub(super) const fn may_be(self, found: Self) -> bool {
        matches!(
            (self, found),
            (Self::Mp4, Self::QuickTime)
                | (Self::QuickTime, Self::Mp4)
                | (Self::Html | Self::Xml, Self::Text | Self::Html | Self::Xml)
                | (Self::Text, Self::Xml | Self::Html | Self::Empty)
        )
    }

    const fn facts(self) -> (&'static str, &'static str) {
        match self {
            Self::Mp4 => ("video/mp4", "an MP4 file"),
            Self::QuickTime => ("video/quicktime", "a QuickTime file"),
            Self::Matroska => ("video/x-matroska", "a Matroska or WebM file"),
            Self::Avi => ("video/x-msvideo", "an AVI file"),
            Self::MpegTs => ("video/mp2t", "an MPEG transport stream"),
            Self::MpegPs => ("video/mpeg", "an MPEG programme stream"),
            Self::Asf => ("video/x-ms-asf", "a Windows Media file"),
            Self::Mp3 => ("audio/mpeg", "an MP3 file"),
            Self::Wav => ("audio/wav", "a WAV file"),
            Self::Flac => ("audio/flac", "a FLAC file"),
            Self::Ogg => ("application/ogg", "an Ogg file"),
            Self::Jpeg => ("image/jpeg", "a JPEG picture"),
            Self::Png => ("image/png", "a PNG picture"),
            Self::Gif => ("image/gif", "a GIF picture"),
            Self::Tiff => ("image/tiff", "a TIFF picture"),
            Self::Webp => ("image/webp", "a WebP picture"),
            Self::Heif => ("image/heif", "a HEIF or AVIF picture"),
            Self::Pdf => ("application/pdf", "a PDF document"),
            Self::Zip => ("application/zip", "a ZIP archive, or a document made as one"),
            Self::Gzip => ("application/gzip", "a gzip file"),
            Self::SevenZip => ("application/x-7z-compressed", "a 7z archive"),
            Self::Rar => ("application/vnd.rar", "a RAR archive"),
            Self::Ole => ("application/x-ole-storage", "an old Office document"),
            Self::Rtf => ("application/rtf", "an RTF document"),
            Self::Sqlite => ("application/vnd.sqlite3", "an SQLite database"),
            Self::Outlook => ("application/vnd.ms-outlook", "an Outlook store"),
            Self::Ewf => ("application/x-ewf", "a disk image (EWF/E01)"),
            Self::Elf => ("application/x-executable", "a program for Linux (ELF)"),
            Self::Pe => ("application/vnd.microsoft.portable-executable", "a program for Windows"),
            Self::MachO => ("application/x-mach-binary", "a program for macOS, or a Java class"),
            Self::Script => ("text/x-shellscript", "a script"),
            Self::Html => ("text/html", "a web page"),
            Self::Xml => ("application/xml", "an XML file"),
            Self::Text => ("text/plain", "text"),
            Self::Empty => ("application/octet-stream", "empty"),
            Self::Unknown => ("application/octet-stream", "of no kind that is known here"),
        }
    }
}
