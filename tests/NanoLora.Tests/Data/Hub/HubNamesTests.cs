using NanoLora.Data;

namespace NanoLora.Tests.Data.Hub;

/// <summary>Names that must not become paths, settings that must not become requests.</summary>
public sealed class HubNamesTests
{
    public static TheoryData<string> Hostile =>
    [
        "../config.json", "a/../../config.json", "..", ".", "a/..", "a/./b", "a//b", "a/", "/etc/passwd", "//server/share", "C:/windows", "c:x", "..\\x",
        "a\\..\\b", "\\\\server\\x", "", "a\0b", "a\nb", "a\u001b[2Jb", "a\u0085b", "a\u007fb", "con", "NUL.txt", "sub/COM1", "lpt9.json", "com¹",
        "aux .x", "ab:c", "ab:$DATA", "a<b", "a>b", "a\"b", "a|b", "a?b", "a*b", "x.", "x ", " x", "sub./x", "sub /x", "...", "a\u202eb", "a\u200bb",
        "\ufeffa", "a\u2028b", new string('x', 256),
        string.Join('/', Enumerable.Repeat("folder", 200)),
    ];

    [Theory, MemberData(nameof(Hostile))]
    public void Hostile_names_are_refused(string name) => Assert.NotNull(HubNames.Forged(name) ?? HubNames.Unportable(name));

    [Fact]
    public void Half_a_surrogate_pair_is_refused() =>
        Assert.All((string[])["a\ud800b", "\udc00", "a\ud800"], name => Assert.NotNull(HubNames.Unportable(name)));

    [Theory]
    [InlineData("config.json")]
    [InlineData("model-00001-of-00002.safetensors")]
    [InlineData(".gitattributes")]
    [InlineData("1_Pooling/config.json")]
    [InlineData("größe 😀 数.txt")]
    [InlineData("console.log")]
    [InlineData("a..b")]
    public void Plain_names_are_not(string name) => Assert.Null(HubNames.Forged(name) ?? HubNames.Unportable(name));

    [Theory]
    [InlineData("org/name", true)]
    [InlineData("gpt2", true)]
    [InlineData("google/vit-base-patch16-224", true)]
    [InlineData("a_b/C.d-1", true)]
    [InlineData("models/nano-vit", true)]
    [InlineData("", false)]
    [InlineData("/x", false)]
    [InlineData("x/", false)]
    [InlineData("a/b/c", false)]
    [InlineData("../x", false)]
    [InlineData("a/..", false)]
    [InlineData("a--b/c", false)]
    [InlineData("a..b/c", false)]
    [InlineData("-a/b", false)]
    [InlineData("a/b.", false)]
    [InlineData("a/b.git", false)]
    [InlineData("a b/c", false)]
    [InlineData("a\\b", false)]
    [InlineData("a/b?x", false)]
    [InlineData("ä/b", false)]
    public void A_name_of_a_model_is_told(string text, bool is_) => Assert.Equal(is_, HubCache.IsName(text));

    [Theory]
    [InlineData("models--org--name/snapshots/COMMIT", "org/name")]
    [InlineData("models--org--name/snapshots/COMMIT/", "org/name")]
    [InlineData("models--gpt2/snapshots/COMMIT", "gpt2")]
    [InlineData("models--org--name/snapshots/main", null)]
    [InlineData("models--org--name/blobs/COMMIT", null)]
    [InlineData("models--org--name", null)]
    [InlineData("datasets--org--name/snapshots/COMMIT", null)]
    [InlineData("models--a--b--c/snapshots/COMMIT", null)]
    [InlineData("COMMIT", null)]
    [InlineData("/", null)]
    public void The_folder_of_a_model_in_the_cache_tells_its_name(string folder, string? name) =>
        Assert.Equal(name, HubCache.NameOf(folder.Replace("COMMIT", FakeHub.Commit, StringComparison.Ordinal)));

    [Fact]
    public void Variables_are_those_of_the_hubs_own_client()
    {
        var home = Directory.CreateTempSubdirectory("nanolora-hub-").FullName;
        try
        {
            var plain = From(("HF_HOME", home));
            Assert.Equal((HubSettings.DefaultEndpoint + "/", Path.Combine(home, "hub")), (plain.Endpoint.AbsoluteUri, plain.CacheFolder));
            Assert.Null(plain.Token);
            File.WriteAllText(Path.Combine(home, "token"), " hf_file\n");
            Assert.Equal("hf_file", From(("HF_HOME", home)).Token);
            Assert.Equal("hf_old", From(("HF_HOME", home), ("HUGGING_FACE_HUB_TOKEN", "hf_old")).Token);
            Assert.Equal("hf_new", From(("HF_HOME", home), ("HUGGING_FACE_HUB_TOKEN", "hf_old"), ("HF_TOKEN", "hf_new\n")).Token);
            Assert.Equal(Path.Combine(home, "own"), From(("HF_HOME", home), ("HF_HUB_CACHE", Path.Combine(home, "own"))).CacheFolder);
            Assert.Equal(Path.Combine(home, "huggingface", "hub"), From(("XDG_CACHE_HOME", home)).CacheFolder);
            Assert.Equal("https://mirror.example/hub", From(("HF_HOME", home), ("HF_ENDPOINT", "https://mirror.example/hub/")).Endpoint.AbsoluteUri);
            Assert.True(From(("HF_HOME", home), ("HF_HUB_OFFLINE", "1")).Offline);
            Assert.DoesNotContain("hf_file", From(("HF_HOME", home)).ToString(), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(home, recursive: true);
        }
    }

    [Theory]
    [InlineData("HF_ENDPOINT", "huggingface.co")]
    [InlineData("HF_ENDPOINT", "file:///etc")]
    [InlineData("HF_ENDPOINT", "https://user:password@huggingface.co")]
    [InlineData("HF_ENDPOINT", "https://huggingface.co?x=1")]
    [InlineData("HF_TOKEN", "hf_a\r\nX-Evil: 1")]
    [InlineData("HF_TOKEN", "hf ä")]
    public void A_variable_that_cannot_be_meant_is_named(string name, string value)
    {
        var error = Assert.Throws<ArgumentException>(() => From((name, value), ("HF_HOME", Path.GetTempPath())));
        Assert.StartsWith(name, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("password", error.Message, StringComparison.Ordinal);
    }

    private static HubSettings From(params (string Name, string Value)[] variables) =>
        HubSettings.From(name => variables.FirstOrDefault(v => v.Name == name).Value);
}
