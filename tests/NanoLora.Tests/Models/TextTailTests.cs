using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Models;

/// <summary>What of a text may be shown while it is being written.</summary>
public sealed class TextTailTests
{
    [Theory]
    [InlineData("a|b|c", "", "a|b|c")]
    [InlineData("ab|STO|P|cd", "STOP", "ab|||")]
    [InlineData("ab|STO|CK|cd", "STOP", "ab||STOCK|cd")]
    [InlineData("aS|S|T|O|P", "STOP", "a|S|||")]
    [InlineData("xxSTOPyy|z", "STOP", "xx|")]
    [InlineData("a\n|\nb", "\n\n,b", "a|")]
    [InlineData("a|b", "ab", "|")]
    [InlineData("one, tw|o", "o,tw", "|")]
    [InlineData("ab|ac|ad", "abx,ada", "|abac|")]
    public void NoPartOfAStopStringIsShown(string pieces, string stops, string shown)
    {
        string[] texts = pieces.Split('|');
        var tail = new TextTail(new Words(texts), stops.Length == 0 ? [] : stops.Split(','));
        Assert.Equal(shown.Split('|'), texts.Select((_, id) => tail.Add(id)));
    }

    [Fact]
    public void WhatWasHeldBackIsShownAtTheEnd()
    {
        var tail = new TextTail(new Words(["ab", "STO"], "\uFFFD"), ["STOP"]);
        Assert.Equal("ab", tail.Add(0));
        Assert.Equal("", tail.Add(1));
        Assert.Equal("STO\uFFFD", tail.Finish());
        Assert.False(tail.IsStopped);
        var stopped = new TextTail(new Words(["ab", "STO"], "P!"), ["STOP"]);
        stopped.Add(0);
        stopped.Add(1);
        Assert.Equal("", stopped.Finish());
        Assert.True(stopped.IsStopped);
        Assert.Equal("", stopped.Finish());
    }

    private sealed class Words(string[] texts, string? rest = null) : ITokenStream
    {
        public string? Next(int id) => texts[id];

        public string? Finish() => rest;
    }
}
