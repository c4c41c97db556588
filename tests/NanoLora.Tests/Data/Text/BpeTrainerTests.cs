using System.Text;
using System.Text.Json;
using NanoLora.Data;

namespace NanoLora.Tests.Data.Text;

public class BpeTrainerTests
{
    // The example of the paper.
    private static readonly string[] Example =
        [.. Repeat("low", 5), .. Repeat("lower", 2), .. Repeat("newest", 6), .. Repeat("widest", 3)];

    [Fact]
    public void The_most_frequent_pairs_become_tokens()
    {
        // "es" and "st" occur nine times, and e is the older token; then "est" nine times; then "Ġl", "lo" and "ow" seven times, of which the space is the
        // oldest, and of "Ġlo" and "ow" the o.
        Assert.Equal(["e s", "es t", "Ġ l", "o w"], Merges(BpeTrainer.Train(Example, 261)));
    }

    [Fact]
    public void The_same_texts_give_the_same_file_in_whatever_order() =>
        Assert.Equal(BpeTrainer.Train(Example, 270), BpeTrainer.Train(Enumerable.Reverse(Example), 270));

    [Fact]
    public void Pairs_that_occur_once_are_no_tokens()
    {
        var tokenizer = Read(BpeTrainer.Train(["abc"], 4000));
        Assert.Equal(257, tokenizer.VocabularySize);
    }

    [Fact]
    public void Overlapping_pairs_are_merged_from_the_left()
    {
        var merges = Merges(BpeTrainer.Train(["aaaa aaaa", "aaaa"], 262));
        Assert.Equal(["a a", "Ġ aa", "Ġaa aa"], merges);
    }

    [Fact]
    public void Every_text_comes_back_in_lower_case()
    {
        var tokenizer = Read(BpeTrainer.Train(Example, 300));
        foreach (var text in (string[])["The Newest, lowest!", "£5 — naïve 😀 \n", "it's 12:30"])
            Assert.Equal(" " + text.ToLowerInvariant(), tokenizer.Decode(tokenizer.Encode(text).Ids));
        Assert.Equal(0, tokenizer.Id(BpeTrainer.EndToken));
        Assert.Equal("Ġ" + "lowest", string.Concat(tokenizer.Encode("LOWEST").Tokens));
        Assert.Equal([0], tokenizer.Encode(BpeTrainer.EndToken).Ids);
    }

    [Fact]
    public void Too_few_tokens_are_refused() => Assert.Throws<ArgumentException>(() => BpeTrainer.Train(Example, 256));

    private static IEnumerable<string> Repeat(string word, int times) => Enumerable.Repeat(word, times);

    private static Tokenizer Read(byte[] file) => TokenizerJson.Read(JsonTree.Parse("learned", file));

    private static string[] Merges(byte[] file)
    {
        using var json = JsonDocument.Parse(Encoding.UTF8.GetString(file));
        return [.. json.RootElement.GetProperty("model").GetProperty("merges").EnumerateArray().Select(static m => m.GetString()!)];
    }
}
