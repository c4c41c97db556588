using System.Buffers.Binary;
using NanoLora.Data;
using NanoLora.Models;

namespace NanoLora.Tests.Data.Text;

/// <summary>The vocabulary beside a checkpoint of llama2.c.</summary>
public sealed class Llama2cVocabularyTests
{
    private static readonly string Folder = Path.Combine(RepositoryRoot.Folder, "models", "stories260K");

    private static byte[] Bytes => File.ReadAllBytes(Path.Combine(Folder, "tok512.bin"));

    /// <summary>As the runtime of llama2.c cuts it: the token that begins a text, a space in front, merges by score.</summary>
    [Fact]
    public void CutsTextsAsItsOwnRuntimeDoes()
    {
        var tokenizer = Tokenizer.Load(Folder);
        Assert.Equal(512, tokenizer.VocabularySize);
        Assert.Equal([1, 403, 407, 261, 378], tokenizer.Encode("Once upon a time").Ids);
        Assert.Equal([403, 407, 261, 378], tokenizer.Encode("Once upon a time", addSpecialTokens: false).Ids);
        Assert.Equal([1], tokenizer.Encode("").Ids);
        Assert.Equal("<unk>", tokenizer.Token(0));
    }

    [Theory]
    [InlineData("Once upon a time, there was a little girl named Lily.")]
    [InlineData("  two spaces, a\nline break and\ttab")]
    [InlineData("bytes for what has no token: Ω 😀 \u0301")]
    public void DecodesWhatItHasCut(string text)
    {
        var tokenizer = Tokenizer.Load(Folder);
        var ids = tokenizer.Encode(text).Ids;
        Assert.Equal(text, tokenizer.Decode(ids));
        var stream = tokenizer.Stream();
        Assert.Equal(text, string.Concat(ids.Select(stream.Next)) + stream.Finish());
    }

    [Fact]
    public void ReadsTheTokensThatTheModelWrites()
    {
        using var backend = new CpuBackend(1);
        using var model = LanguageModel.Load(Folder, backend);
        var tokens = Generator.Greedy(model, [[1]], 20)[0];
        Assert.Equal("Once upon a time, there was a little girl named Lily. She loved to play", Tokenizer.Load(Folder).Decode(tokens));
    }

    [Theory]
    [InlineData(0, "has 5 bytes where 0 are the most")]
    [InlineData(3, "it is cut")]
    [InlineData(20, "it is cut")]
    [InlineData(4000, "the first 259 are the same in every one")]
    public void WhatIsCutIsRefused(int length, string why)
    {
        var data = Bytes;
        if (length == 0) BinaryPrimitives.WriteInt32LittleEndian(data, 0);
        else data = data[..Whole(data, length)];
        var message = Assert.Throws<InvalidDataException>(() => Llama2cVocabulary.Parse("tok.bin", data)).Message;
        Assert.StartsWith("tok.bin: ", message, StringComparison.Ordinal);
        Assert.Contains(why, message, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatIsDamagedIsRefused()
    {
        Refused("not finite", static data => BinaryPrimitives.WriteSingleLittleEndian(data.AsSpan(4), float.NaN));
        Refused("are the most", static data => BinaryPrimitives.WriteInt32LittleEndian(data.AsSpan(8), -1));
        Refused("are the most", static data => BinaryPrimitives.WriteInt32LittleEndian(data.AsSpan(8), int.MaxValue));
        Refused("token 0 is no UTF-8", static data => data[12] = 0xFF);
        Refused("256 byte tokens", static data => data[Place(data, 3) + 8 + 3] = (byte)'z');

        static void Refused(string why, Action<byte[]> damage)
        {
            var data = Bytes;
            damage(data);
            Assert.Contains(why, Assert.Throws<InvalidDataException>(() => Llama2cVocabulary.Parse("tok.bin", data)).Message, StringComparison.Ordinal);
        }
    }

    // Long enough to cut between two tokens, so that only their number is wrong.
    private static int Whole(byte[] data, int length)
    {
        if (length < 1000) return length;
        var id = 0;
        while (Place(data, id) < 3000) id++;
        return Place(data, id);
    }

    // Where the entry of a token begins.
    private static int Place(byte[] data, int id)
    {
        var at = 4;
        for (; id > 0; id--) at += 8 + BinaryPrimitives.ReadInt32LittleEndian(data.AsSpan(at + 4));
        return at;
    }
}
