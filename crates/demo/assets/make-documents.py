#!/usr/bin/env python3
"""Makes the PDF documents of the demo's story: a witness statement and a property receipt.

Standard library only. Text is set in the PDF base fonts (Helvetica, Courier), so nothing has to be
embedded; the output is the same for the same input, byte for byte.
"""
import sys
import textwrap
import zlib

WIDTH, HEIGHT = 612, 792  # US Letter, in points
LEFT, RIGHT = 54, 558


class Page:
    """Drawing operators of one page; y counts from the top."""

    def __init__(self):
        self.ops = []

    def text(self, x, y, string, size=9, font="Sans", grey=0.0, turn=0.0):
        raw = string.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
        a, b = (1, 0) if not turn else (0.9945 if abs(turn) < 1 else 1, turn)
        self.ops.append(
            b"BT %.2f g /%s %.1f Tf %.4f %.4f %.4f %.4f %.2f %.2f Tm (%s) Tj ET"
            % (grey, font.encode(), size, a, b, -b, a, x, HEIGHT - y, raw)
        )

    def rule(self, x1, y1, x2, y2, width=0.6, grey=0.0):
        self.ops.append(
            b"%.2f G %.2f w %.2f %.2f m %.2f %.2f l S" % (grey, width, x1, HEIGHT - y1, x2, HEIGHT - y2)
        )

    def box(self, x, y, w, h, fill=None, width=0.6):
        if fill is not None:
            self.ops.append(b"%.3f g %.2f %.2f %.2f %.2f re f" % (fill, x, HEIGHT - y - h, w, h))
        if width:
            self.ops.append(b"0 G %.2f w %.2f %.2f %.2f %.2f re S" % (width, x, HEIGHT - y - h, w, h))

    def field(self, x, y, w, label, value, h=30):
        self.box(x, y, w, h)
        self.text(x + 4, y + 9, label.upper(), 6, "Bold", 0.25)
        self.text(x + 5, y + h - 7, value, 10, "Typed")

    def curve(self, points, width=1.1):
        """A line of Bezier curves: a start, then threes of points."""
        flat = [(x, HEIGHT - y) for x, y in points]
        ops = [b"0.10 0.15 0.45 RG %.2f w 1 J %.2f %.2f m" % (width, *flat[0])]
        for i in range(1, len(flat) - 2, 3):
            ops.append(b"%.2f %.2f %.2f %.2f %.2f %.2f c" % (*flat[i], *flat[i + 1], *flat[i + 2]))
        self.ops.append(b" ".join(ops) + b" S 0 G")

    def seal(self, x, y, r):
        """A round badge: two circles and a star."""
        import math

        for radius, width in ((r, 1.4), (r - 4, 0.6)):
            k = radius * 0.5523
            cy = HEIGHT - y
            self.ops.append(
                b"0 G %.2f w %.2f %.2f m %.2f %.2f %.2f %.2f %.2f %.2f c %.2f %.2f %.2f %.2f %.2f %.2f c "
                b"%.2f %.2f %.2f %.2f %.2f %.2f c %.2f %.2f %.2f %.2f %.2f %.2f c S"
                % (
                    width, x + radius, cy,
                    x + radius, cy + k, x + k, cy + radius, x, cy + radius,
                    x - k, cy + radius, x - radius, cy + k, x - radius, cy,
                    x - radius, cy - k, x - k, cy - radius, x, cy - radius,
                    x + k, cy - radius, x + radius, cy - k, x + radius, cy,
                )
            )
        points = []
        for i in range(10):
            angle = math.pi / 2 + i * math.pi / 5
            length = (r - 7) if i % 2 == 0 else (r - 7) * 0.42
            points.append((x + length * math.cos(angle), HEIGHT - y + length * math.sin(angle)))
        path = b" ".join(
            b"%.2f %.2f %s" % (px, py, b"m" if i == 0 else b"l") for i, (px, py) in enumerate(points)
        )
        self.ops.append(b"0.2 g " + path + b" h f 0 g")


def pdf(pages, title, subject):
    """The file: catalog, pages, five fonts, information, and one compressed stream a page."""
    fonts = {"Sans": "Helvetica", "Bold": "Helvetica-Bold", "Slant": "Helvetica-Oblique",
             "Typed": "Courier", "TypedBold": "Courier-Bold"}
    objects = []

    def add(body):
        objects.append(body)
        return len(objects)

    catalog, tree = add(b""), add(b"")
    names = b" ".join(
        b"/%s %d 0 R" % (
            name.encode(),
            add(b"<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>" % base.encode()),
        )
        for name, base in fonts.items()
    )
    kids = []
    for page in pages:
        data = zlib.compress(b"\n".join(page.ops), 9)
        stream = add(b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(data), data))
        kids.append(add(
            b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R "
            b"/Resources << /Font << %s >> >> >>" % (tree, WIDTH, HEIGHT, stream, names)
        ))
    objects[tree - 1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (
        len(kids), b" ".join(b"%d 0 R" % kid for kid in kids))
    objects[catalog - 1] = b"<< /Type /Catalog /Pages %d 0 R /Lang (en-US) >>" % tree
    info = add(b"<< /Title (%s) /Subject (%s) /Author (Riverton Police Department) "
               b"/CreationDate (D:20240111092000-06'00') >>" % (title.encode(), subject.encode()))
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for place in places:
        out += b"%010d 00000 n \n" % place
    # The identifier is required to be there; its value only has to differ between documents.
    mark = b"%032x" % (zlib.crc32(title.encode()) << 64 | zlib.adler32(bytes(out)))
    out += b"trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R /ID [<%s> <%s>] >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1, catalog, info, mark, mark, start)
    return bytes(out)


def head(page, title, form, number, total):
    page.seal(78, 62, 24)
    page.text(112, 52, "RIVERTON POLICE DEPARTMENT", 15, "Bold")
    page.text(112, 66, "Records Unit  \u2022  400 Station Street, Riverton  \u2022  ORI NB0010100", 8)
    page.text(112, 82, title, 11, "Bold")
    page.text(440, 52, form, 8, "Bold")
    page.text(440, 63, f"Page {number} of {total}", 8)
    page.rule(LEFT, 94, RIGHT, 94, 1.6)
    foot = "Made-up document of a demonstration. Nobody named here exists."
    page.rule(LEFT, 752, RIGHT, 752)
    page.text(LEFT, 763, foot, 7, "Slant", 0.35)
    page.text(470, 763, "Case 24-000113", 8, "Bold")


def typed(page, y, paragraphs, columns=80, step=17.0):
    """Typed lines on ruled paper; returns the y after them."""
    for paragraph in paragraphs:
        for line in textwrap.wrap(paragraph, columns) + [""]:
            page.rule(LEFT + 8, y + 3.5, RIGHT - 8, y + 3.5, 0.3, 0.72)
            page.text(LEFT + 12, y, line, 9.8, "Typed")
            y += step
    return y


def initials(page, x, y):
    page.curve([(x, y), (x + 3, y - 16), (x + 7, y - 16), (x + 9, y), (x + 8, y - 8), (x + 3, y - 7),
                (x + 13, y - 7), (x + 18, y - 8), (x + 14, y + 4), (x + 11, y - 1)])


def signature(page, x, y):
    page.curve([(x, y), (x + 8, y - 26), (x + 12, y - 22), (x + 16, y + 2), (x + 20, y - 6), (x + 10, y - 9),
                (x + 24, y - 8), (x + 34, y - 9), (x + 30, y + 3), (x + 38, y - 2), (x + 44, y - 6),
                (x + 44, y - 12), (x + 40, y - 4), (x + 38, y + 4), (x + 50, y + 2), (x + 54, y - 4),
                (x + 56, y - 26), (x + 60, y - 20), (x + 58, y + 6), (x + 64, y - 10), (x + 68, y - 6),
                (x + 70, y + 6), (x + 78, y - 8), (x + 84, y - 6), (x + 90, y - 4), (x + 120, y - 10),
                (x + 148, y - 5)], 1.3)


def statement():
    one, two = Page(), Page()
    head(one, "VOLUNTARY WITNESS STATEMENT", "FORM RPD-114 (rev. 06/21)", 1, 2)
    y = 104
    one.field(54, y, 126, "Case number", "24-000113")
    one.field(180, y, 150, "Type of incident", "BURGLARY")
    one.field(330, y, 114, "Date of statement", "01/11/2024")
    one.field(444, y, 114, "Time", "0855 hrs")
    y += 30
    one.field(54, y, 276, "Place of incident", "212 FOUNDRY STREET, RIVERTON")
    one.field(330, y, 228, "Statement taken at", "215 FOUNDRY STREET, KITCHEN")
    y += 38
    one.box(54, y, 504, 14, 0.88)
    one.text(60, y + 10, "WITNESS", 8, "Bold")
    y += 14
    one.field(54, y, 276, "Name (last, first, middle)", "ACHTERBERG, WENDELL J.")
    one.field(330, y, 114, "Date of birth", "02/19/1957")
    one.field(444, y, 114, "Telephone", "402-555-0111")
    y += 30
    one.field(54, y, 276, "Address", "215 FOUNDRY STREET, RIVERTON")
    one.field(330, y, 228, "Relation to the parties", "NEIGHBOR; KNOWS OWNER BY SIGHT")
    y += 38
    one.box(54, y, 504, 14, 0.88)
    one.text(60, y + 10, "STATEMENT   (typed at the witness's request; read back and corrected by the witness)", 8, "Bold")
    y += 32
    one.box(54, y - 18, 504, 752 - y)
    typed(one, y, [
        "My name is Wendell Achterberg. I am 66 years old and have lived at 215 Foundry Street for "
        "31 years. My kitchen window looks across the street at Brandt Hardware and down the alley "
        "that runs along its left side to the rear door.",
        "On Wednesday, January 10, 2024, I could not sleep and was in the kitchen with the light off. "
        "The clock on the stove said 11:40 p.m. when a small gray car came up Foundry Street from the "
        "river with its lights off and turned into the alley. I noticed it because there was ice on "
        "the street and it still did not put its lights on.",
        "The car stopped where the alley widens. One person got out on the driver's side. The person "
        "was of medium height, wore a dark jacket with the hood up and carried a bag in the right hand. "
        "I could not see the face. The person walked to the rear of the shop and out of my sight. I "
        "heard two knocks, like a hammer on wood, and then a crack.",
        "Somebody else stayed in the car, on the passenger's side. I saw only the outline of a head "
        "against the lamp at the end of the alley. That person was smaller and did not get out.",
        "I thought at first that it was Mrs. Brandt's nephew, who sometimes comes late to",
    ])
    initials(one, 512, 742)
    one.text(452, 744, "Initials", 7, "Sans", 0.3)

    head(two, "VOLUNTARY WITNESS STATEMENT (continued)", "FORM RPD-114 (rev. 06/21)", 2, 2)
    two.box(54, 104, 504, 14, 0.88)
    two.text(60, 114, "STATEMENT, continued", 8, "Bold")
    two.box(54, 118, 504, 372)
    typed(two, 136, [
        "fetch tools, and so I did not telephone right away. I am sorry for that.",
        "After eight or ten minutes the person came back with the bag, which now looked heavy, and a "
        "metal box under the left arm, and put both on the back seat. The car backed out of the alley. "
        "Under the street lamp I could read the plate. It was 7KDR419. I said it aloud and wrote it on "
        "the edge of the newspaper, which I have given to Officer Hale.",
        "The car was a Honda hatchback, gray or silver, with a dent in the rear bumper on the right "
        "side. It drove toward River Road and put its lights on at the corner.",
        "In the morning I saw the police at the shop and went over to say what I had seen. I would "
        "know the car again. I would not know the person.",
        "I have read the two pages of this statement. It is true, and I gave it of my own free will.",
    ])
    two.text(54, 512, "CERTIFICATION", 8, "Bold")
    for i, line in enumerate([
        "I have read this statement, or had it read to me, and had the opportunity to correct it. I have initialed each page. The facts",
        "in it are true to the best of my knowledge. I understand that a false report to a peace officer is an offense.",
    ]):
        two.text(54, 526 + 11 * i, line, 8.2)
    for x, y, label, value in (
        (54, 578, "Signature of witness", None),
        (330, 578, "Date and time", "01/11/2024  0920 hrs"),
        (54, 628, "Officer taking the statement", "Ofc. N. HALE, badge 417"),
        (330, 628, "Reviewed by", "Sgt. I. OKAFOR, badge 102"),
    ):
        two.rule(x, y, x + 228, y)
        two.text(x, y + 9, label, 7, "Sans", 0.3)
        if value:
            two.text(x + 4, y - 4, value, 10, "Typed")
    signature(two, 66, 574)
    two.box(54, 660, 504, 66)
    two.text(60, 671, "FOR RECORDS UNIT USE", 7, "Bold", 0.25)
    two.text(62, 688, "Evidence no.  E-000001", 10, "Typed")
    two.text(62, 703, "Received      01/11/2024 0940", 10, "Typed")
    two.text(62, 718, "Entered by    clerk abara", 10, "Typed")
    two.box(388, 670, 158, 46, None, 1.6)
    two.text(402, 690, "RECEIVED", 17, "Bold", 0.25)
    two.text(402, 706, "RPD RECORDS  JAN 11 2024", 9, "Bold", 0.25)
    initials(two, 524, 742)
    two.text(464, 744, "Initials", 7, "Sans", 0.3)
    return pdf([one, two], "Witness statement, case 24-000113", "Form RPD-114")


def receipt():
    page = Page()
    head(page, "PROPERTY AND EVIDENCE RECEIPT", "FORM RPD-031 (rev. 02/20)", 1, 1)
    page.field(54, 104, 126, "Case number", "24-000113")
    page.field(180, 104, 150, "Type of incident", "BURGLARY")
    page.field(330, 104, 228, "Place", "212 FOUNDRY STREET, RIVERTON")
    page.field(54, 134, 276, "Received from", "BRANDT, ODALYS R. (owner)")
    page.field(330, 134, 228, "Received by", "Det. M. RUIZ, 01/11/2024 1145 hrs")
    columns = (54, 92, 380, 452, 558)
    y = 186
    page.box(54, y, 504, 18, 0.88)
    for x, label in zip(columns, ("ITEM", "DESCRIPTION", "TAG", "STORED IN")):
        page.text(x + 5, y + 12, label, 8, "Bold")
    rows = [
        ("1", "Recording of the rear door camera, one file", "E-000002", "digital store"),
        ("2", "Strike plate of rear door, bent, with two screws", "40113", "shelf B-12"),
        ("3", "Casting of pry mark, dental stone", "40114", "shelf B-12"),
        ("4", "Two latent lifts, door edge and frame", "40115", "laboratory"),
        ("5", "Newspaper, edge with handwritten plate number", "40116", "shelf B-12"),
        ("6", "Wood splinters from frame, paper fold", "40117", "laboratory"),
    ]
    y += 18
    for number in range(14):
        page.box(54, y, 504, 20)
        for x, value in zip(columns, rows[number] if number < len(rows) else ()):
            page.text(x + 5, y + 14, value, 9.5, "Typed")
        y += 20
    for x in columns[1:-1]:
        page.rule(x, 186, x, y)
    page.text(54, y + 22, "The items above were received in the state described. Nothing was returned to the owner.", 8.5)
    page.rule(54, 580, 282, 580)
    page.text(54, 589, "Received by", 7, "Sans", 0.3)
    page.text(58, 576, "Det. M. RUIZ, badge 233", 10, "Typed")
    page.rule(330, 580, 558, 580)
    page.text(330, 589, "Evidence custodian", 7, "Sans", 0.3)
    page.text(334, 576, "clerk abara", 10, "Typed")
    return pdf([page], "Property receipt, case 24-000113", "Form RPD-031")


def memorandum():
    page = Page()
    head(page, "MEMORANDUM OF UNDERSTANDING", "Property crimes, mutual assistance", 1, 1)
    y = 122
    for number, (title, text) in enumerate([
        ("Parties", "Riverton Police Department (NB0010100) and Lakeside County Sheriff (NB0020000)."),
        ("Authority", "Interlocal assistance statute; CJIS Security Policy, CA-3 (made up)."),
        ("Scope", "Incident records and evidence of property crimes, for criminal justice (purpose C)."),
        ("Exclusions", "Records marked JUVENILE or SEALED do not cross."),
        ("Redistribution", "Only with the written consent of the agency that gave the record, each time."),
        ("Retention", "Until the case is closed, then three years; then destroyed, and the destruction certified."),
        ("Audit", "Each agency may audit the other's handling, announced thirty days before."),
        ("Term", "Reviewed at least every three years. Either party ends it by thirty days' written notice."),
    ], 1):
        page.text(54, y, f"{number}.  {title}", 10, "Bold")
        page.text(72, y + 15, text, 9)
        y += 44
    for x, name in ((54, "A. MARSH, Chief of Police"), (330, "D. COLE, Sheriff")):
        page.rule(x, 580, x + 228, 580)
        page.text(x, 589, "Signed for the agency", 7, "Sans", 0.3)
        page.text(x + 4, 576, name, 10, "Typed")
    signature(page, 66, 560)
    signature(page, 342, 560)
    return pdf([page], "Memorandum of understanding (made up)", "MOU")


if __name__ == "__main__":
    folder = sys.argv[1]
    for name, content in (("statement.pdf", statement()), ("receipt.pdf", receipt()), ("memorandum.pdf", memorandum())):
        with open(f"{folder}/{name}", "wb") as file:
            file.write(content)
