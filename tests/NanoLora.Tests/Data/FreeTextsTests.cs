using NanoLora.Data;
using NanoLora.Tests.Experiments;

namespace NanoLora.Tests.Data;

public sealed class FreeTextsTests : IDisposable
{
    private readonly MadeUpTexts _texts = new();

    public void Dispose() => _texts.Dispose();

    [Fact]
    public void All_sets_are_read()
    {
        var sets = FreeTexts.Load(_texts.Folder, []);
        Assert.Equal(["MIT", "CC BY 4.0", "CC BY 4.0", "public domain", "CC BY-SA 4.0"], sets.Select(static s => s.Licence));
        Assert.All(sets, static s => Assert.NotEqual("", s.Source));
        Assert.Equal(["Tom has 2 cards.", "He buys 0 more of them.", "How many cards does Mr. Tom have?"], sets[0].Documents[0]);
        Assert.Equal((13, "Where is my card, please?"), (sets[1].Documents.Count, sets[1].Documents[0][0]));
        Assert.Equal(["bill_due", "card_lost"], sets[1].Classes);
        Assert.Equal([1, 0, 1], sets[1].Labels.Take(3));
        Assert.Equal(["Ok, see you at the card!", "Bring 0 more"], sets[2].Documents[0]);
        Assert.Equal(["O what a card is this!", "It is gone.", "Farewell."], sets[3].Documents[0]);
        Assert.Equal((12, 6), (sets[4].Documents.Count, sets[4].Paraphrases.Count));
        Assert.Equal(["The card is cheap, and family-friendly.", "The card is dear, and family-friendly."], sets[4].Paraphrases[0]);
    }

    [Fact]
    public void Texts_of_the_tests_are_left_out_however_they_are_written()
    {
        var sets = FreeTexts.Load(_texts.Folder, [.. ClincTasks.AllTexts(_texts.Folder), "the CARD is cheap and family friendly"]);
        Assert.Equal([0, 1, 0, 0, 1], sets.Select(static s => s.LeftOut));
        Assert.DoesNotContain(sets[1].Documents, static d => d[0].Contains("balance", StringComparison.Ordinal));
        Assert.Equal(12, sets[1].Labels.Count);
        Assert.Equal(5, sets[4].Paraphrases.Count);
    }

    [Theory]
    [InlineData("He has $5.50. Mrs. A. saw 3 p.m. and left!  \"Why?\" she asked.", "He has $5.50.|Mrs. A. saw 3 p.m. and left!|\"Why?\" she asked.")]
    [InlineData("no end", "no end")]
    [InlineData(" ", "")]
    [InlineData("Wait... what?! Yes.", "Wait... what?!|Yes.")]
    public void Sentences_end_where_they_seem_to(string text, string expected) =>
        Assert.Equal(expected.Length == 0 ? [] : expected.Split('|'), FreeTexts.Sentences(text));

    [Theory]
    [InlineData("text-gsm8k/train.jsonl", "{}", "line 1")]
    [InlineData("text-banking77/train.csv", "text,category\na,b,c\n", "line 2: 3 fields")]
    [InlineData("text-sms-spam/sms.tsv", "ham no tab", "has no tab")]
    [InlineData("text-e2e-nlg/valid.txt", "no bars", "has no ||")]
    public void Damaged_files_are_named(string name, string content, string message)
    {
        _texts.Write(name, content);
        var error = Assert.Throws<InvalidDataException>(() => FreeTexts.Load(_texts.Folder, []));
        Assert.Contains(Path.GetFileName(name), error.Message);
        Assert.Contains(message, error.Message);
    }
}
