using System.Text.Json;

namespace NanoLora.Tests.Experiments;

/// <summary>A folder of raw text sets with a few texts each, as <c>pretrain --text</c> reads them. One query to the bank is a text of CLINC150 too.</summary>
internal sealed class MadeUpTexts : IDisposable
{
    private static readonly string[] Nouns = ["card", "flight", "meal", "song", "car", "bill", "shirt", "game", "timer", "route", "bank", "recipe"];

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nanolora-texts-");

    public MadeUpTexts()
    {
        Write("text-gsm8k/train.jsonl", Lines(12, i => $$"""
            {"question": "Tom has {{i + 2}} {{Nouns[i]}}s. He buys {{i}} more of them. How many {{Nouns[i]}}s does Mr. Tom have?", "answer": "{{2 * i + 2}}"}
            """));
        Write("text-banking77/train.csv", "text,category\n" + Lines(12, i => $"\"Where is my {Nouns[i]}, please?\",{(i % 2 == 0 ? "card_lost" : "bill_due")}")
            + "\"What's my balance?\",bill_due\n");
        Write("text-sms-spam/sms.tsv", Lines(12, i => $"ham\tOk, see you at the {Nouns[i]}! Bring {i} more"));
        Write("text-tinyshakespeare/input.txt", Lines(12, i => $"FIRST {Nouns[i].ToUpperInvariant()}:\nO what a {Nouns[i]} is this!\nIt is gone. Farewell.\n"));
        Write("text-e2e-nlg/valid.txt", Lines(12, i =>
            $"name : {Nouns[i / 2]}||The {Nouns[i / 2]} is {(i % 2 == 0 ? "cheap" : "dear")} , and family - friendly . "));

        var intents = Enumerable.Range(0, 20).Select(i => $"{Nouns[i % 12]}_{i / 12}").ToArray();
        Write("text-clinc150/domains.json",
            JsonSerializer.Serialize(Enumerable.Range(0, 10).ToDictionary(d => $"domain {d}", d => intents[(2 * d)..(2 * d + 2)])));
        string[][] Of(int count, string what) =>
            [.. intents.SelectMany((intent, i) => Enumerable.Range(0, count).Select(n => new[] { $"{what} {n} the {intent.Replace('_', ' ')}", intent }))];
        Write("text-clinc150/data_small.json", JsonSerializer.Serialize(new Dictionary<string, string[][]>
        {
            ["oos_train"] = [["what's my BALANCE", "oos"]], ["train"] = Of(6, "show me"), ["val"] = Of(1, "where is"), ["test"] = Of(2, "tell me of"),
        }));
    }

    public string Folder => _folder.FullName;

    public void Write(string name, string text)
    {
        var path = Path.Combine(Folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private static string Lines(int count, Func<int, string> line) => string.Concat(Enumerable.Range(0, count).Select(i => line(i) + "\n"));
}
